// Package config reads the configuration: one YAML file, and the environment
// above it. It knows every key, what it means, its default and what it may be;
// what is wrong comes back all at once, each with where it stands and what to
// write instead.
//
// The types are shaped like the file. What they mean to the packages that do the
// work is not this package's business, but for templates: which elements a
// collector can be sent only that one knows. No package that does the work imports
// this one. The tags of the types, which package strict explains, are the one place where
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
	Start           Start         `yaml:"start" default:"now" want:"now, earliest, a duration like 24h or a time like 2026-11-20T00:00:00Z" doc:"Which flows a source is read from when it is read for the first time: now, earliest (everything that is there), a duration (24h: from a day ago) or a time (2026-11-20T00:00:00Z)."`
	HourGrace       time.Duration `yaml:"hour_grace" default:"15m" min:"1s" doc:"How long an hour's blobs are still looked at after the hour's end and their last change."`
	StateDir        string        `yaml:"state_dir" default:"/var/lib/flow2ipfix" required:"true" want:"a folder, like /var/lib/flow2ipfix" doc:"The folder that remembers what has been delivered, and the interface indexes."`
	Convert         Convert       `yaml:"convert" doc:"What flows mean as flow records."`
	Collectors      []Collector   `yaml:"collectors" required:"true" doc:"Where flow records are sent. At least one."`
	Targets         []Target      `yaml:"targets" doc:"Names, exporter addresses and observation domains of what flow logs are set on: virtual networks, subnets, interfaces, security groups. The first entry that fits a flow log holds."`
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
	ExporterAddress   string            `yaml:"exporter_address" doc:"The IP address that collectors shall take for the exporter's (exporterIPv4Address or exporterIPv6Address), where targets names no other; empty sends none."`
	ObservationDomain ObservationDomain `yaml:"observation_domain" default:"per_target" want:"per_target or a number up to 4294967295" doc:"The observation domain: per_target gives each resource with a flow log a number of its own, a number holds for everything."`
}

// Collector is where flow records are sent.
type Collector struct {
	Name              string        `yaml:"name" required:"true" want:"a name of letters, digits, dots, dashes and underscores, like ntopng" doc:"What the collector is called in logs, metrics and the state."`
	URL               string        `yaml:"url" required:"true" want:"udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH" doc:"Where the collector listens: udp://host:port, tcp://host:port, tls://host:port, dtls://host:port or file:PATH."`
	Preset            string        `yaml:"preset" default:"generic" enum:"generic,ntopng,elastiflow,nfdump,pmacct,goflow2,akvorado,elk,telegraf,vflow,solarwinds,prtg" doc:"What suits a kind of collector, where the keys below do not say otherwise; flow2ipfix templates --presets lists them."`
	Protocol          string        `yaml:"protocol" default:"ipfix" enum:"ipfix,netflow9,netflow5" doc:"The protocol. netflow9 and netflow5 are for collectors that know nothing newer, and go over udp:// only; netflow5 has neither IPv6 nor anything that could be chosen."`
	Records           string        `yaml:"records" default:"preset" enum:"preset,uniflow,biflow" doc:"How a flow is told: uniflow is a record for each way, biflow one for both (RFC 5103); preset is what suits the collector, uniflow with all presets so far."`
	Fields            []string      `yaml:"fields" doc:"The elements of a flow record in order, by the names that IANA has; preset stands for those of the preset. Empty is those of the preset. flow2ipfix templates --elements lists all that there are."`
	Options           []string      `yaml:"options" default:"preset" enum:"preset,interfaces,vrfs,sampling,statistics,flow_keys,types" doc:"Options templates, which tell more than flows: names of interfaces and VRFs, sampling, what was sent, flow keys, types of our own elements; preset stands for those of the preset. Empty is none."`
	Enterprise        Enterprise    `yaml:"enterprise" doc:"Elements that no registry has: the rule, the access list, encryption and more."`
	Begin             string        `yaml:"begin" default:"preset" enum:"preset,skip,export" doc:"What holds for this collector instead of convert.begin; preset is what suits it, or else convert.begin."`
	Denied            string        `yaml:"denied" default:"preset" enum:"preset,export,skip" doc:"What holds for this collector instead of convert.denied; preset is what suits it, or else convert.denied."`
	DeniedCounters    string        `yaml:"denied_counters" default:"preset" enum:"preset,zero,one" doc:"What holds for this collector instead of convert.denied_counters; preset is what suits it (ntopng has one), or else convert.denied_counters."`
	Rate              Rate          `yaml:"rate" default:"preset" want:"preset or a number from 0 to 100000000" doc:"Records a second at most over udp and dtls: preset is what suits the collector (20000, if nothing is known of it); 0 sends as fast as it goes, which loses datagrams. The other ways pace themselves."`
	Delivery          string        `yaml:"delivery" default:"required" enum:"required,best_effort" doc:"required: while the collector is away, reading waits, and Azure keeps the flow logs. best_effort: what it misses is lost to it."`
	LocalAddress      string        `yaml:"local_address" doc:"The IP address to send from; empty lets the system choose."`
	MaxMessageBytes   int           `yaml:"max_message_bytes" default:"1400" min:"512" max:"65535" doc:"The largest message. An IP packet is 28 or 48 bytes larger."`
	MaxMessageRecords int           `yaml:"max_message_records" default:"64" min:"1" max:"1000" doc:"The most records of a message; some collectors read no more than 64. netflow5 has 30 at most."`
	TemplateRefresh   time.Duration `yaml:"template_refresh" default:"1m" min:"1s" doc:"How often templates and options are sent again over udp and dtls. Collectors that were started later understand nothing before."`
	Timeout           time.Duration `yaml:"timeout" default:"15s" min:"100ms" doc:"How long connecting may take. A connection over which nothing gets on for 60 s is given up, whatever this says."`
	TLS               TLS           `yaml:"tls" doc:"For tls:// and dtls://."`
}

// Enterprise says how the elements that no registry has are sent.
type Enterprise struct {
	Number       int      `yaml:"number" default:"0" min:"0" max:"4294967295" doc:"The private enterprise number that the elements stand under, your organisation's (IANA registers them at no charge); 0 sends none. 32473 is for examples in documents."`
	Elements     []string `yaml:"elements" default:"azureRule,azureAcl,azureEncryption" enum:"azureRule,azureAcl,azureFlowLog,azureTargetResource,azureSubscription,azureRegion,azureResourceGroup,azureEncryption,azureFlowState" doc:"Those that are sent behind the others, if there is a number and fields names none of them."`
	Form         string   `yaml:"form" default:"short" enum:"short,long" doc:"Resource ids: short is their last names, long the whole, of which a message holds a few."`
	StringOctets int      `yaml:"string_octets" default:"0" min:"0" max:"512" doc:"The length of all strings in flow records, for collectors that want a fixed one; 0 is as long as they are (netflow9: 64)."`
}

// Target is what a flow log is set on, or several of them.
type Target struct {
	Resource          string `yaml:"resource" required:"true" want:"a pattern for the resource id, like */virtualNetworks/vnet-hub" doc:"A pattern for the resource id that the flow log is set on. * stands for anything; case does not matter."`
	Name              string `yaml:"name" doc:"What it is called at the collectors (VRFname, interfaceDescription); empty is its last name in the resource id."`
	ExporterAddress   string `yaml:"exporter_address" doc:"The IP address that collectors shall take for the exporter's; empty is convert.exporter_address."`
	ObservationDomain int    `yaml:"observation_domain" default:"0" min:"0" max:"4294967295" doc:"Its observation domain; 0 is what convert.observation_domain says. Targets may share one."`
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
	Listen      string `yaml:"listen" default:"127.0.0.1:9469" doc:"Address and port of metrics, health and status; empty opens none."`
	AllowRemote bool   `yaml:"allow_remote" default:"false" doc:"Whether it is meant that others than this machine can ask: there is no password. Without it, an address that is not of loopback is warned of, and on loopback names other than localhost are refused."`
	Pprof       bool   `yaml:"pprof" default:"false" doc:"Whether /debug/pprof/ is there, too, which shows the program at work to its authors."`
}

// Log is what the daemon writes to standard error.
type Log struct {
	Level  string `yaml:"level" default:"info" enum:"debug,info,warn,error" doc:"The least that is written."`
	Format string `yaml:"format" default:"auto" enum:"auto,text,json" doc:"text, json, or auto, which is what suits where standard error goes."`
}
