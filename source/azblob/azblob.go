// Package azblob reads flow logs from the blob containers of an Azure storage
// account. It is the only package that knows the Azure SDK.
//
// A Backend only ever reads: what is not a GET or HEAD request does not leave it.
// What follows the blobs, and when, is package source's business; where settings
// and secrets come from is package config's.
package azblob

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/service"

	"flow2ipfix/source"
)

// applicationID stands in front of the SDK's User-Agent, for the account's logs.
const applicationID = "flow2ipfix"

// Backend is a storage account. Its methods may be called at the same time.
type Backend struct {
	cfg      Config
	endpoint *url.URL // without a query, without a slash at its end
	client   *service.Client
	tokens   *tokens // nil if the credential is none of Entra's
	wire     *wire
	counters counters
	// hidden is what no text may have in it, whoever wrote it.
	hidden *strings.Replacer
	// resolve looks up a name for Check.
	resolve func(ctx context.Context, host string) ([]string, error)
}

var _ source.Backend = (*Backend)(nil)

// New makes a Backend. It sends nothing; its errors are those of the
// configuration, all of them, and say which setting is meant.
func New(cfg Config) (*Backend, error) {
	account, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	b := &Backend{cfg: cfg, endpoint: account.endpoint, hidden: account.hidden(cfg), resolve: lookup}
	b.cfg.Containers = slices.Clone(cfg.Containers)
	if len(cfg.Containers) == 0 {
		b.cfg.Containers = slices.Clone(DefaultContainers)
	}
	transport := cfg.Transport
	if transport == nil {
		if transport, err = newTransport(account.endpoint); err != nil {
			return nil, err
		}
	}
	b.wire = &wire{next: transport, idle: cmp.Or(cfg.IdleTimeout, DefaultIdleTimeout), counters: &b.counters}

	options := &service.ClientOptions{ClientOptions: azcore.ClientOptions{
		Cloud:     clouds[cfg.Cloud],
		Retry:     retries(cfg.MaxRetries),
		Telemetry: policy.TelemetryOptions{ApplicationID: applicationID},
		Transport: b.wire,
	}}
	if cfg.APIVersion != "" {
		options.PerCallPolicies = append(options.PerCallPolicies, apiVersion(cfg.APIVersion))
	}
	switch {
	case account.key != "":
		var key *service.SharedKeyCredential
		if key, err = service.NewSharedKeyCredential(account.name, account.key); err != nil {
			return nil, errBadKey // the error has a part of the key in it
		}
		b.client, err = service.NewClientWithSharedKeyCredential(b.endpoint.String(), key, options)
	case account.sas != "":
		options.PerCallPolicies = append(options.PerCallPolicies, sasPolicy(account.sas))
		b.client, err = service.NewClientWithNoCredential(b.endpoint.String(), options)
	default:
		if b.tokens, err = newTokens(cfg, transport, &b.counters); err != nil {
			return nil, err
		}
		// Not by service.NewClient: its policy lets the server choose for which
		// resource it gets a token.
		options.PerRetryPolicies = append(options.PerRetryPolicies, runtime.NewBearerTokenPolicy(b.tokens, b.tokens.scopes, nil))
		b.client, err = service.NewClientWithNoCredential(b.endpoint.String(), options)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Close closes the connections that wait for further requests.
func (b *Backend) Close() {
	if t, ok := b.wire.next.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Account returns the account's blob endpoint, without a query.
func (b *Backend) Account() string { return b.endpoint.String() }

func (b *Backend) container(name string) *container.Client { return b.client.NewContainerClient(name) }

// url is where something is in the account, for people: no SAS is in it.
func (b *Backend) url(name string) string {
	u := *b.endpoint
	u.Path += "/" + name
	return u.String()
}

// split divides a name into its container and what stands right of it.
func split(name string) (containerName, rest string) {
	containerName, rest, _ = strings.Cut(name, "/")
	return containerName, rest
}

func retries(most int) policy.RetryOptions {
	return policy.RetryOptions{
		MaxRetries:    int32(most), // 0 means 3, less than 0 none, as Config says
		RetryDelay:    500 * time.Millisecond,
		MaxRetryDelay: 10 * time.Second,
		ShouldRetry: func(resp *http.Response, err error) bool {
			if err != nil {
				return isTemporary(err)
			}
			return temporaryStatus(resp.StatusCode)
		},
	}
}
