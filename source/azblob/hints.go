package azblob

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

const roleNeeded = "Storage Blob Data Reader"

// hints says what to do about error codes of Blob Storage. See
// https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes.
var hints = map[string]string{
	"AuthorizationFailure": "the account's firewall keeps this machine out: under Networking allow its public address or its subnet, " +
		"or reach the account by its private endpoint",
	"KeyBasedAuthenticationNotPermitted": "the account refuses keys and what is signed with them: choose managed_identity or another credential of Entra's, " +
		"or allow storage account key access in the account's configuration",
	"AuthorizationSourceIPMismatch":     "the shared access signature is for other addresses than this machine's: make one without, or with its public address",
	"AuthorizationProtocolMismatch":     "the shared access signature is for https only: use https in account_url",
	"AuthorizationResourceTypeMismatch": "the shared access signature is not for containers and objects: make one with srt=co",
	"AuthorizationServiceMismatch":      "the shared access signature is not for blobs: make one with ss=b",
	"ContainerNotFound": "no traffic yet: Azure makes the container with the first flow that it logs; " +
		"if flow logs are on for longer than 15 minutes, compare their storage account, and the container's name, with these settings",
	"ContainerBeingDeleted": "somebody has just deleted the container",
	"BlobNotFound":          "it was deleted, by the flow log's retention or by somebody; nothing can be done about it",
	"ConditionNotMet":       "the blob was written to in between; it is read again from the same place",
	"InvalidRange":          "nothing new is in the blob",
	"ServerBusy":            "the account has more requests than it takes; it is tried again later, and a longer poll_interval helps",
	"OperationTimedOut":     "the service took too long; it is tried again",
	"InternalError":         "the service failed; it is tried again",
	"AccountIsDisabled":     "the storage account is disabled: see its state in the portal",
	"BlobArchived":          "the blob is in the archive tier and cannot be read: rehydrate it, or start later",
	"InvalidHeaderValue":    "if the header is x-ms-version, the service (an emulator, Azure Stack) is older than this program: bring it up to date",
	"InvalidUri":            "compare account_url and the containers' names with the portal",
	"InvalidResourceName":   "compare the containers' names with the portal",
	"ResourceNotFound":      "compare account_url with the portal's",
	"TlsVersionNotPermitted": "the account wants a newer TLS than something between here and Azure speaks: " +
		"look at the proxy",
	"NoAuthenticationInformation": "something between here and Azure takes the credential away, or account_url is not that of Blob Storage",
}

// hintsByCredential are hints that depend on the credential; "" is all others.
var hintsByCredential = map[string]map[string]string{
	"AuthorizationPermissionMismatch": {
		"":  `give the identity the role "` + roleNeeded + `" on the storage account (Owner, Contributor and Reader do not let it read blobs), and wait ten minutes`,
		SAS: "the shared access signature lacks a right: make one for the container with read and list (sp=rl)",
	},
	"InsufficientAccountPermissions": {
		"":  `give the identity the role "` + roleNeeded + `" on the storage account, and wait ten minutes`,
		SAS: "the shared access signature lacks a right: make one for the container with read and list (sp=rl)",
	},
	"AuthenticationFailed": {
		"":         "the token was not taken: compare this machine's clock, and the audience and cloud, with the account's",
		SAS:        "the shared access signature has expired, is not valid yet, is not whole, or the key that signed it was rotated: make a new one, and look at this machine's clock",
		AccountKey: "the key is wrong or was rotated, or this machine's clock is off by more than 15 minutes: copy the key anew from Access keys",
	},
	"InvalidAuthenticationInfo": {
		"":         "the token was not taken: the identity's tenant must be that of the storage account; compare audience and cloud, too",
		SAS:        "the shared access signature is not whole: copy it anew",
		AccountKey: "the key is wrong: copy it anew from Access keys",
	},
}

var statusHints = map[int]string{
	401: "the credential was not taken: compare tenant, audience and cloud with the account's",
	403: "the credential may not do this: it needs the right to list and read blobs",
	407: "the proxy wants a user and a password: put them into HTTPS_PROXY",
	412: hints["ConditionNotMet"],
	416: hints["InvalidRange"],
	429: hints["ServerBusy"],
	503: hints["ServerBusy"],
	500: hints["InternalError"],
	502: "something between here and Azure failed; it is tried again",
	504: "something between here and Azure took too long; it is tried again",
}

func (b *Backend) hint(code string, status int) string {
	if by, ok := hintsByCredential[code]; ok {
		credential := b.cfg.Credential
		if credential == ConnectionString {
			credential = AccountKey
		}
		if hint := by[credential]; hint != "" {
			return hint
		}
		return by[""]
	}
	if hint := hints[code]; hint != "" {
		return hint
	}
	if status/100 == 3 {
		return "a proxy or a login page answered in place of Azure, or account_url is not that of Blob Storage"
	}
	return statusHints[status]
}

// networkHint is about errors on the way to a host.
func networkHint(err error, host string) string {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.Is(err, errNotAzure):
		return "compare account_url with the blob endpoint in the portal, and look at the proxy"
	case errors.Is(err, errWrite):
		return "this is a fault of flow2ipfix: report it"
	case errors.As(err, &dns) && dns.IsNotFound:
		return fmt.Sprintf("no name server knows %s: compare account_url with the portal; if the account has a private endpoint, link its private DNS zone to this network", host)
	case errors.As(err, &dns):
		return "the name server does not answer: look at /etc/resolv.conf, and at the way to the name server"
	case errors.As(err, &authority):
		return "the certificate is of an authority that this machine does not trust: if a proxy looks into TLS, add its certificate authority to the system's (or SSL_CERT_FILE)"
	case isTLS(err):
		return fmt.Sprintf("the TLS handshake with %s failed: compare account_url, this machine's clock, and what a proxy or firewall puts between", host)
	case strings.Contains(err.Error(), "Proxy Authentication Required"):
		return statusHints[407]
	case strings.Contains(err.Error(), "proxyconnect"):
		return "the proxy cannot be reached: compare HTTPS_PROXY and NO_PROXY"
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refuses the connection: compare account_url and its port, and what a firewall puts between", host)
	case errors.Is(err, errStalled), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection broke; it is tried again from where it came to"
	case isTemporary(err):
		return fmt.Sprintf("%s cannot be reached: allow https to it in firewalls, or set HTTPS_PROXY", host)
	}
	return ""
}

// entra says what to do about Entra's codes. See
// https://learn.microsoft.com/entra/identity-platform/reference-error-codes.
var entra = map[string]string{
	"AADSTS7000215": "the client secret is wrong: give the secret's value, not its ID",
	"AADSTS7000222": "the client secret has expired: make a new one under Certificates & secrets",
	"AADSTS700016":  "no application with this client_id is in the tenant: compare client_id and tenant_id",
	"AADSTS7000112": "the application is disabled: see its state under Enterprise applications",
	"AADSTS90002":   "there is no such tenant: compare tenant_id, and cloud",
	"AADSTS900023":  "tenant_id is neither a tenant's ID nor a domain",
	"AADSTS700027":  "the certificate is not one of the application's, or has expired: upload it under Certificates & secrets",
	"AADSTS700024":  "the token or certificate is not valid at this time: look at this machine's clock, and whether it has expired",
	"AADSTS70021":   "the application has no federated credential that fits this token: compare its issuer, subject and audience",
	"AADSTS700211":  "the application has no federated credential with this token's issuer",
	"AADSTS700213":  "the application has no federated credential with this token's subject",
	"AADSTS500011":  "the audience is not known in the tenant: leave audience out, or compare it with the account's cloud",
	"AADSTS53003":   "a conditional access policy blocks the application",
}

var entraCode = regexp.MustCompile(`AADSTS\d+`)

// tokenFailure makes an Error of what a credential returned.
func (b *Backend) tokenFailure(token *tokenError) *Error {
	e := &Error{Op: "get a token by " + b.cfg.Credential}
	text := token.Error()
	var failed *azidentity.AuthenticationFailedError
	switch {
	case errors.As(token.err, &failed) && failed.RawResponse != nil:
		e.Status = failed.RawResponse.StatusCode
		e.RequestID = failed.RawResponse.Header.Get("X-Ms-Request-Id")
		e.after = retryAfter(failed.RawResponse.Header, time.Now())
		e.temporary = temporaryStatus(e.Status)
		if body, err := runtime.Payload(failed.RawResponse); err == nil {
			text = string(body)
		}
		var said struct {
			Description string `json:"error_description"`
		}
		if json.Unmarshal([]byte(text), &said) == nil {
			text = said.Description
		}
		text, _, _ = strings.Cut(text, " Trace ID: ")
	case token.onWay != nil:
		text = token.onWay.Error()
		e.temporary = isTemporary(token.onWay)
	}
	text, _, _ = strings.Cut(text, "To troubleshoot, visit ")
	e.Code = entraCode.FindString(text)
	if e.Hint = entra[e.Code]; e.Hint == "" {
		e.Hint = b.credentialHint(e, token, text)
		if text = firstLine(strings.ReplaceAll(b.hide(text), "\n", " ")); text != "" {
			e.Err = errors.New(text)
		}
	}
	return e
}

func (b *Backend) credentialHint(e *Error, token *tokenError, text string) string {
	switch b.cfg.Credential {
	case ManagedIdentity:
		switch {
		case strings.Contains(text, "azcmagent"):
			return "let the user of this service read the Azure Arc agent's token files: add it to the group himds"
		case e.Status == 400 && b.cfg.ClientID != "":
			return "this machine has no user-assigned identity with this client_id: assign it under Identity, or correct client_id"
		case e.Status == 400, strings.Contains(text, "system assigned identity"):
			return "this machine has no system-assigned identity: turn it on under Identity, or set client_id to that of a user-assigned one"
		case e.temporary && e.Status != 0:
			return "the service of managed identities failed; it is tried again"
		}
		return "no token came from 169.254.169.254, where Azure's virtual machines find their identity: if this machine is none, " +
			"install the Azure Arc agent or choose another credential; if it is one, let firewalls pass this address"
	case WorkloadIdentity:
		if e.Status == 0 && (strings.Contains(text, "no such file") || strings.Contains(text, "permission denied")) {
			return "the token file cannot be read: AZURE_FEDERATED_TOKEN_FILE must name it, and the user of this service must be able to read it"
		}
	case DefaultCredential:
		return "none of the SDK's credentials works here: choose one of them by name, which then says what it lacks"
	}
	if token.onWay != nil {
		return networkHint(token.onWay, b.authority())
	}
	return "compare tenant_id, client_id and the credential with the application's registration in Entra"
}

// authority is the host that is asked for tokens.
func (b *Backend) authority() string {
	return strings.Trim(strings.TrimPrefix(clouds[b.cfg.Cloud].ActiveDirectoryAuthorityHost, "https://"), "/")
}
