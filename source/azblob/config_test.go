package azblob

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"flow2ipfix/internal/secret"
)

func TestWrongSettings(t *testing.T) {
	base := configs(t, newFake())
	for _, tc := range []struct {
		credential string
		change     func(*Config)
		want       string
	}{
		{SAS, func(c *Config) { c.Credential = "" }, `credential: want one of managed_identity, workload_identity, client_secret, client_certificate, sas, account_key, connection_string, default, got ""`},
		{SAS, func(c *Config) { c.Credential = "token" }, `got "token"`},
		{SAS, func(c *Config) { c.SAS = secret.Secret{} }, "sas: credential sas needs it"},
		{SAS, func(c *Config) { c.AccountKey = secret.New(theKey) }, "account_key: credential sas does not use it; remove it, or choose another credential"},
		{SAS, func(c *Config) { c.Audience = "x" }, "audience: credential sas does not use it"},
		{ManagedIdentity, func(c *Config) { c.ClientSecret = secret.New(theSecret) }, "client_secret: credential managed_identity does not use it"},
		{ClientSecret, func(c *Config) { c.TenantID, c.ClientID, c.ClientSecret = "", "", secret.Secret{} }, "tenant_id: credential client_secret needs it\nclient_id: credential client_secret needs it\nclient_secret: credential client_secret needs it"},
		{ClientCertificate, func(c *Config) { c.ClientCertificate = secret.New("x") }, "credential client_certificate: client_certificate: want a PEM file"},
		{AccountKey, func(c *Config) { c.AccountKey = secret.New("not base64!") }, "account_key: want base64"},
		{SAS, func(c *Config) { c.AccountURL = "" }, "account_url: want the account's blob endpoint, such as https://nocflowlogs.blob.core.windows.net; got nothing"},
		{SAS, func(c *Config) { c.AccountURL = "nocflowlogs" }, "account_url: want"},
		{SAS, func(c *Config) { c.AccountURL = "ftp://x" }, "account_url: want"},
		{SAS, func(c *Config) { c.AccountURL += "/?sv=1&sig=2" }, "a shared access signature goes to sas"},
		{SAS, func(c *Config) { c.AccountURL += "/insights-logs-flowlogflowevent" }, "without a path: containers have a setting of their own"},
		{SAS, func(c *Config) { c.AccountURL = "https://x.dfs.core.windows.net" }, "got the dfs endpoint"},
		{SAS, func(c *Config) { c.AccountURL = "http://" + host }, "want https, over which nobody can read"},
		{ManagedIdentity, func(c *Config) { c.AccountURL = "http://127.0.0.1:10000/x" }, "want https with credential managed_identity"},
		{ManagedIdentity, func(c *Config) { c.AccountURL = "https://x.blob.core.usgovcloudapi.net" }, "cloud: want usgov, to which x.blob.core.usgovcloudapi.net belongs"},
		{SAS, func(c *Config) { c.Cloud = "germany" }, `cloud: want one of public, usgov, china, got "germany"`},
		{SAS, func(c *Config) { c.Containers = []string{"a", "B", "a"} }, `got "B"`},
		{SAS, func(c *Config) { c.Containers = []string{"a", "b", "a"} }, `containers: "a" is named twice`},
		{SAS, func(c *Config) { c.Containers = []string{"a/b"} }, `containers: want names such as insights-logs-flowlogflowevent, got "a/b"`},
		{SAS, func(c *Config) { c.IdleTimeout = -1 }, "idle timeout: want more than 0"},
		{SAS, func(c *Config) { c.SAS = secret.New("sv=1&sp=rl") }, "sas: want a shared access signature with sig=… in it"},
		{SAS, func(c *Config) { c.SAS = secret.New("https://x/?sig=1") }, "sas: want what stands right of the '?'"},
		{ConnectionString, func(c *Config) { c.AccountURL = account1 }, "account_url: the connection string names the endpoint; remove it"},
		{ConnectionString, func(c *Config) { c.ConnectionString = secret.New("x") }, "connection_string: want name=value parts"},
		{ConnectionString, func(c *Config) { c.ConnectionString = secret.New("AccountKey=eA==") }, "connection_string: want AccountName or BlobEndpoint"},
		{ConnectionString, func(c *Config) { c.ConnectionString = secret.New("AccountName=x") }, "connection_string: want AccountKey or SharedAccessSignature"},
		{ConnectionString, func(c *Config) {
			c.ConnectionString = secret.New("BlobEndpoint=http://x.example/;SharedAccessSignature=sig=1")
		}, "connection_string: account_url: want https"},
	} {
		cfg := base[tc.credential]
		tc.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("New = %v\nwant %q in it", err, tc.want)
		}
	}
	// All that is wrong is said at once.
	cfg := base[SAS]
	cfg.AccountURL, cfg.Cloud, cfg.SAS = "", "x", secret.Secret{}
	err := cfg.Validate()
	for _, want := range []string{"account_url: ", "cloud: ", "sas: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate = %v\nwant %q in it, too", err, want)
		}
	}
	for name, cfg := range base {
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSignatures: what is sent proves who sends it.
func TestSignatures(t *testing.T) {
	const encoded = "sig=c2VjcmV0LXNpZw%2Bsas%2Fsecret%3D"
	connection := func(text string) Config {
		return Config{Credential: ConnectionString, ConnectionString: secret.New(text)}
	}
	sas := func(text string) Config { return Config{AccountURL: account1, Credential: SAS, SAS: secret.New(text)} }
	for what, tc := range map[string]struct {
		cfg                 Config
		url, query, account string
	}{
		"sas":                       {sas(theSAS), account1, encoded, ""},
		"sas with ?":                {sas("?" + theSAS + "\n"), account1, encoded, ""},
		"sas that is not encoded":   {sas("?sv=2026-02-06&se=2036-01-01T00:00:00Z&sig=" + theSig), account1, "se=2036-01-01T00%3A00%3A00Z&" + encoded, ""},
		"key":                       {keyConfig(nil), account1, "", "nocflowlogs"},
		"key, own domain":           {Config{AccountURL: "https://logs.example.org", Credential: AccountKey, AccountName: "abc", AccountKey: secret.New(theKey)}, "https://logs.example.org", "", "abc"},
		"key, emulator":             {Config{AccountURL: "http://127.0.0.1:10000/devstoreaccount1/", Credential: AccountKey, AccountKey: secret.New(theKey)}, "http://127.0.0.1:10000/devstoreaccount1", "", "devstoreaccount1"},
		"connection":                {connection("DefaultEndpointsProtocol=https;AccountName=nocflowlogs;AccountKey=" + theKey + ";EndpointSuffix=core.windows.net"), account1, "", "nocflowlogs"},
		"connection, cloud":         {connection("AccountName=x;AccountKey=" + theKey + ";EndpointSuffix=core.usgovcloudapi.net;"), "https://x.blob.core.usgovcloudapi.net", "", "x"},
		"connection, endpoint":      {connection("AccountName=x;AccountKey=" + theKey + ";BlobEndpoint=http://azurite:10000/x;QueueEndpoint=http://azurite:10001/x"), "http://azurite:10000/x", "", "x"},
		"connection, signature":     {connection("BlobEndpoint=" + account1 + "/;SharedAccessSignature=?" + theSAS), account1, encoded, ""},
		"connection, signature 2":   {connection("AccountName=nocflowlogs;SharedAccessSignature=" + theSAS), account1, encoded, ""},
		"connection of an emulator": {connection("UseDevelopmentStorage=true"), "http://127.0.0.1:10000/devstoreaccount1", "", "devstoreaccount1"},
	} {
		s := newFake(DefaultContainers...)
		var sent *http.Request
		s.answer = func(req *http.Request) (*reply, error) {
			sent = req
			return refuse(404, "ContainerNotFound"), nil
		}
		tc.cfg.Transport = s
		_, err := open(t, tc.cfg).List(t.Context(), flowLogV, two)
		if sent == nil {
			t.Errorf("%s: nothing was sent: %v", what, err)
			continue
		}
		if got := sent.URL.Scheme + "://" + sent.URL.Host + sent.URL.Path; got != tc.url+"/"+DefaultContainers[0] {
			t.Errorf("%s: asked %s, want %s/…", what, got, tc.url)
		}
		if !strings.HasSuffix(sent.URL.RawQuery, tc.query) {
			t.Errorf("%s: query %s, want …%s", what, sent.URL.RawQuery, tc.query)
		}
		if got, want := sent.Header.Get("Authorization"), "SharedKey "+tc.account+":"; (tc.account != "") != strings.HasPrefix(got, want) || tc.account == "" && got != "" {
			t.Errorf("%s: authorization %q, want %q", what, got, want)
		}
	}
	if _, err := base64.StdEncoding.DecodeString(theKey); err != nil {
		t.Fatal(err)
	}
}

func TestContainers(t *testing.T) {
	s := newFake()
	put(t, s, "mine/a/b/y=2026/m=11/d=21/h=02/m=00/macAddress=000D3A123456/PT1H.json", "x")
	put(t, s, at(two, "000D3A123456"), "x")
	cfg := sasConfig(s)
	cfg.Containers = []string{"mine"}
	if got, err := open(t, cfg).FlowLogs(t.Context()); err != nil || len(got) != 1 || got[0] != "mine/a/b" {
		t.Errorf("FlowLogs = %q, %v", got, err)
	}
}
