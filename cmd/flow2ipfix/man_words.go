package main

// What the manual pages say besides commands, flags and keys.

const manualName = "flow2ipfix"

const manLong = `Man prints a manual page for man or groff: flow2ipfix(8), the program's, or
flow2ipfix.yaml(5), the configuration's. Packages bring both.`

const manExamples = `  flow2ipfix man | man -l -
  flow2ipfix man 5 >flow2ipfix.yaml.5`

const manExamplesFolder = "/usr/share/doc/flow2ipfix/examples/"

const manService = `As a service (flow2ipfix.service) it runs "flow2ipfix run" as the user
flow2ipfix. Fill in ` + defaultConfig + `, see what "flow2ipfix config check" and
"flow2ipfix doctor" say, and start it with "systemctl enable --now flow2ipfix".`

var manSignals = [][2]string{
	{"SIGTERM, SIGINT", "Deliver what was read, and end. A second one ends at once."},
	{"SIGHUP", "run loads the configuration again. One that is wrong is reported, and the old one goes on."},
}

var manEnvironment = [][2]string{
	{"FLOW2IPFIX_...", "A key of the configuration that is in no list; it goes before the file. See flow2ipfix.yaml(5)."},
	{"CREDENTIALS_DIRECTORY", "Where systemd puts secrets (LoadCredential=)."},
	{"HTTPS_PROXY, NO_PROXY", "The way to Azure."},
	{"SSL_CERT_FILE, SSL_CERT_DIR", "Whom to trust, instead of the system's certificates."},
	{"GOMEMLIMIT", "How much memory the Go runtime tries to stay below; the unit of the service sets it."},
}

var manFiles = [][2]string{
	{defaultConfig, "The configuration, see flow2ipfix.yaml(5)."},
	{"/var/lib/flow2ipfix/", "What has been delivered, and the interface indexes."},
	{manExamplesFolder, "Every key of the configuration, and more."},
}

const manConfigIntro = `The configuration of flow2ipfix is one YAML file. Only sources and collectors must
be given. Nothing passes in silence: an unknown key, a value of the wrong kind, a
key that is there twice are errors, and all come at once:

  flow2ipfix config check    # what is wrong, or what it does
  flow2ipfix config dump     # what holds in the end
  flow2ipfix doctor          # try the whole way

Durations have a unit: 500ms, 30s, 15m, 24h. A number or a text that YAML would
take for something else goes into quotes.

A key that is in no list has an environment variable, which goes before the file;
--set KEY=VALUE goes before both. A variable that begins with FLOW2IPFIX_ and
belongs to no key is an error.

SIGHUP (systemctl reload flow2ipfix) reads the file again. One that is wrong is
refused, and the old one goes on.`

const manConfigExample = `sources:
  - name: prod
    azure:
      account_url: https://nocflowlogs.blob.core.windows.net
      credential: managed_identity
collectors:
  - name: ntopng
    url: udp://10.20.0.5:2055
    preset: ntopng
`

const manSecrets = `Each secret is given in exactly one way. For sas_token these are:

  LoadCredential=sas_token:PATH   in the unit, and nothing in the file
  sas_token_file: PATH            a file with nothing but the secret; a
                                  relative path is looked for among systemd's
                                  credentials first
  sas_token_env: VARIABLE         an environment variable
  sas_token: VALUE                as it is; then the file itself is a secret

managed_identity and workload_identity need none. A secret is shown nowhere.`
