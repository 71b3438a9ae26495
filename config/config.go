// Package config reads the configuration: one YAML file, and the environment
// above it. It knows every key, what it means, its default and what it may be;
// what is wrong comes back all at once, each with where it stands and what to
// write instead.
//
// The types are shaped like the file. What they mean to the packages that do the
// work is not this package's business, and no package that does the work imports
// it. The tags of the types, which package strict explains, are the one place where
// keys are described: strict reading, Default, Keys and Schema are made of them.
package config

import (
	"time"

	"flow2ipfix/internal/secret"
)

// Config is the configuration as it holds: defaults are filled in, secrets are
// read.
type Config struct {
	Sources         []Source      `yaml:"sources" required:"true" doc:"What is read, and what becomes flow records. At least one."`
	Start           Start         `yaml:"start" default:"now" doc:"Which flows a source is read from when it is read for the first time: now, earliest (everything that is there), a duration (24h: from a day ago) or a time (2026-11-20T00:00:00Z)."`
	HourGrace       time.Duration `yaml:"hour_grace" default:"15m" min:"1s" doc:"How long an hour's blobs are still looked at after the hour's end and their last change."`
	StateDir        string        `yaml:"state_dir" default:"/var/lib/flow2ipfix" required:"true" want:"a folder, like /var/lib/flow2ipfix" doc:"The folder that remembers what has been delivered, and the interface indexes."`
	Convert         Convert       `yaml:"convert" doc:"What flows mean as flow records."`
	Collectors      []Collector   `yaml:"collectors" required:"true" doc:"Where flow records are sent. At least one."`
	Interfaces      []Interface   `yaml:"interfaces" doc:"Names and fixed indexes of network interfaces. The others get a free index when they first appear, and keep it."`
	Telemetry       Telemetry     `yaml:"telemetry" doc:"What the daemon says of itself."`
	Log             Log           `yaml:"log" doc:"What the daemon writes to standard error."`
	ShutdownTimeout time.Duration `yaml:"shutdown_timeout" default:"20s" min:"1s" doc:"How long the daemon may take to deliver what it has read when it is told to end."`
}

// Source is a place where blobs lie. Either Azure or Directory is set.
type Source struct {
	Name      string     `yaml:"name" required:"true" want:"a name of letters, digits, dots, dashes and underscores, like prod" doc:"What the source is called in logs, metrics and the state. One with another name is read from start."`
	Azure     *Azure     `yaml:"azure" either:"true" doc:"A storage account that Azure writes flow logs to. It is only ever read."`
	Directory *Directory `yaml:"directory" either:"true" doc:"A folder with PT1H.json files under Azure's own paths."`
	Include   []string   `yaml:"include" doc:"Only flow logs and network interfaces like one of these: patterns for the resource path, or the MAC as 12 hexadecimal digits. * stands for anything; case does not matter."`
	Exclude   []string   `yaml:"exclude" doc:"No flow logs and network interfaces like one of these. It goes before include."`
}

// Azure is a storage account, and how to get in.
type Azure struct {
	AccountURL   string        `yaml:"account_url,omitempty" want:"an https:// URL, like https://ACCOUNT.blob.core.windows.net" doc:"The blob endpoint of the storage account. A connection string has it already."`
	Credential   string        `yaml:"credential" required:"true" enum:"managed_identity,workload_identity,client_secret,client_certificate,sas,account_key,connection_string,default" doc:"How to get in. Nothing is guessed, unless default asks for the chain of Azure's SDK. The role that it takes is Storage Blob Data Reader; a SAS token needs read and list."`
	Containers   []string      `yaml:"containers" default:"insights-logs-flowlogflowevent,insights-logs-networksecuritygroupflowevent" required:"true" doc:"The containers with flow logs: of virtual networks, and of network security groups. One that does not exist yet is waited for."`
	PollInterval time.Duration `yaml:"poll_interval" default:"30s" min:"100ms" doc:"How often to look for new data. Azure writes once a minute; each look costs a list operation for a flow log and open hour."`
	Readers      int           `yaml:"readers" default:"8" min:"1" max:"256" doc:"How many blobs are read at once."`
	Cloud        string        `yaml:"cloud" default:"public" enum:"public,usgov,china" doc:"Where identities of Entra ID are looked up."`
	Audience     string        `yaml:"audience,omitempty" want:"an https:// URL, like https://storage.azure.com" doc:"The audience of Entra ID tokens, if it is not that of Azure Storage."`

	TenantID                string        `yaml:"tenant_id,omitempty" doc:"The directory (tenant) of a client_secret or client_certificate; optional for workload_identity and default."`
	ClientID                string        `yaml:"client_id,omitempty" want:"a client ID like 00000000-0000-0000-0000-000000000000" doc:"The application (client) ID of a client_secret or client_certificate; of a user-assigned managed_identity, empty for the system-assigned one; optional for workload_identity."`
	ClientSecret            secret.Secret `yaml:"client_secret,omitempty" doc:"The secret of a client_secret."`
	ClientSecretFile        string        `yaml:"client_secret_file,omitempty" doc:"A file with client_secret."`
	ClientSecretEnv         string        `yaml:"client_secret_env,omitempty" doc:"An environment variable with client_secret."`
	CertificateFile         string        `yaml:"certificate_file,omitempty" doc:"Certificate and key of a client_certificate: PEM or PKCS #12."`
	CertificatePassword     secret.Secret `yaml:"certificate_password,omitempty" doc:"The password of certificate_file, if it has one."`
	CertificatePasswordFile string        `yaml:"certificate_password_file,omitempty" doc:"A file with certificate_password."`
	CertificatePasswordEnv  string        `yaml:"certificate_password_env,omitempty" doc:"An environment variable with certificate_password."`
	SASToken                secret.Secret `yaml:"sas_token,omitempty" doc:"The token of sas, with or without the ? before it."`
	SASTokenFile            string        `yaml:"sas_token_file,omitempty" doc:"A file with sas_token."`
	SASTokenEnv             string        `yaml:"sas_token_env,omitempty" doc:"An environment variable with sas_token."`
	AccountName             string        `yaml:"account_name,omitempty" doc:"The account of account_key, if the host of account_url does not begin with its name."`
	AccountKey              secret.Secret `yaml:"account_key,omitempty" doc:"The key of account_key, in base64 as the portal shows it."`
	AccountKeyFile          string        `yaml:"account_key_file,omitempty" doc:"A file with account_key."`
	AccountKeyEnv           string        `yaml:"account_key_env,omitempty" doc:"An environment variable with account_key."`
	ConnectionString        secret.Secret `yaml:"connection_string,omitempty" doc:"The string of connection_string."`
	ConnectionStringFile    string        `yaml:"connection_string_file,omitempty" doc:"A file with connection_string."`
	ConnectionStringEnv     string        `yaml:"connection_string_env,omitempty" doc:"An environment variable with connection_string."`
}

// Directory is a folder that flow logs are copied to or mounted at.
type Directory struct {
	Path         string        `yaml:"path" required:"true" want:"a folder, like /srv/flowlogs" doc:"The folder."`
	PollInterval time.Duration `yaml:"poll_interval" default:"10s" min:"100ms" doc:"How often to look for new data."`
}

// Convert says what flows mean as flow records.
type Convert struct {
	Begin             string            `yaml:"begin" default:"skip" enum:"skip,export" doc:"Flows that only began (state B): they have no counters yet."`
	Denied            string            `yaml:"denied" default:"export" enum:"export,skip" doc:"Denied flows."`
	DeniedCounters    string            `yaml:"denied_counters" default:"zero" enum:"zero,one" doc:"Packets of a denied flow: zero, or one for collectors that discard records without packets."`
	ObservationDomain ObservationDomain `yaml:"observation_domain" default:"per_target" doc:"The observation domain: per_target gives each resource with a flow log a number of its own, a number holds for everything."`
}

// Collector is where flow records are sent.
type Collector struct {
	Name            string        `yaml:"name" required:"true" want:"a name of letters, digits, dots, dashes and underscores, like ntopng" doc:"What the collector is called in logs, metrics and the state."`
	URL             string        `yaml:"url" required:"true" want:"udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH" doc:"Where the collector listens: udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH."`
	Preset          string        `yaml:"preset" default:"generic" enum:"generic" doc:"Templates for a kind of collector; flow2ipfix templates shows them."`
	Protocol        string        `yaml:"protocol" default:"ipfix" enum:"ipfix" doc:"The protocol."`
	Records         string        `yaml:"records" default:"uniflow" enum:"uniflow" doc:"How a flow is told: uniflow is a record for each way."`
	Rate            int           `yaml:"rate" default:"20000" min:"0" max:"100000000" doc:"Records a second at most over udp and dtls; 0 sends as fast as it goes, which loses datagrams. The other ways pace themselves."`
	Delivery        string        `yaml:"delivery" default:"required" enum:"required,best_effort" doc:"required: while the collector is away, reading waits, and Azure keeps the flow logs. best_effort: what it misses is lost to it."`
	LocalAddress    string        `yaml:"local_address" doc:"The IP address to send from; empty lets the system choose."`
	MaxMessageBytes int           `yaml:"max_message_bytes" default:"1400" min:"512" max:"65535" doc:"The largest message. An IP packet is 28 or 48 bytes larger."`
	Timeout         time.Duration `yaml:"timeout" default:"15s" min:"100ms" doc:"How long connecting may take. A connection over which nothing gets on for 60 s is given up, whatever this says."`
	TLS             TLS           `yaml:"tls" doc:"For tls:// and dtls://."`
}

// TLS is how to talk to a collector over tls and dtls. Files are PEM.
type TLS struct {
	CAFile     string `yaml:"ca_file" doc:"Certificates of those who may vouch for the collector; empty means the system's."`
	CertFile   string `yaml:"cert_file" doc:"A client certificate, if the collector wants one."`
	KeyFile    string `yaml:"key_file" doc:"The key of cert_file."`
	ServerName string `yaml:"server_name" doc:"The name in the collector's certificate, if it is not the host of url."`
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2,1.3" doc:"The oldest version of TLS. DTLS is 1.2 always."`
}

// Interface is a network interface that has a name or an index of its own.
type Interface struct {
	MAC   MAC    `yaml:"mac" required:"true" want:"12 hexadecimal digits, like 000D3A123456" doc:"The MAC address: 12 hexadecimal digits, with or without dashes, colons or dots."`
	Name  string `yaml:"name" doc:"What it is called."`
	Index int    `yaml:"index" default:"0" min:"0" max:"2147483647" doc:"Its ifIndex at the collectors; 0 takes a free one."`
}

// Telemetry is what the daemon says of itself.
type Telemetry struct {
	Listen string `yaml:"listen" default:"127.0.0.1:9469" doc:"Address and port of metrics, health and status; empty opens none."`
}

// Log is what the daemon writes to standard error.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" doc:"The least that is written."`
	Format string `yaml:"format" default:"auto" enum:"auto,text,json" doc:"text, json, or auto, which is what suits where standard error goes."`
}
