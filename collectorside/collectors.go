package collectorside

// collector is what is known of a collector.
type collector struct {
	name   string
	preset string
	// dir is where its files usually lie.
	dir string
	// files are what it is told.
	files []text
	// transports are the ways that messages can get there.
	transports []string
	// reverse and own say what becomes of reverse counters (RFC 5103) and of
	// enterprise elements.
	reverse, own fate
	// known are the elements of IANA that it has a place for; nil: for all.
	known map[uint16]string
	// keyed: names of interfaces are kept by the exporter's address; by the one
	// that records name, if named is set.
	keyed, named bool
	// tables: names of interfaces are part of the files.
	tables bool
	// onlyOwn: the files define enterprise elements and nothing else.
	onlyOwn bool
	// format is the document that the files follow, proof whether a collector was
	// seen to take them.
	format, proof string
}

// fate is what a collector does with elements that are not IANA's.
type fate int

const (
	shown   fate = iota // as they are
	defined             // with the definitions in the files
	dropped
	unknown
)

const (
	ran     = "It was tried: the tests of flow2ipfix run the program so."
	byPaper = "It was not tried: it is known from documents only."
)

// text is a file and what writes it. It may write nothing.
type text struct {
	name  string
	write func(v *view)
}

var udp = []string{"udp"}

// The table of collectors. Whoever adds one cites the document that the format
// follows.
var collectors = []collector{
	{
		// The keys are those of producer/proto/config_impl.go, the elements without a
		// place those that producer_nf.go does not name.
		name: "goflow2", preset: "goflow2", dir: "/etc/goflow2", transports: udp, reverse: defined, own: defined,
		known:  goflow2Fields,
		files:  []text{{"mapping.yaml", goflow2Mapping}},
		format: "cmd/goflow2/mapping.yaml of github.com/netsampler/goflow2, version 2.2.6", proof: ran,
	},
	{
		name: "pmacct", preset: "pmacct", dir: "/etc/pmacct", transports: udp, reverse: defined, own: defined,
		known:  pmacctPrimitives,
		files:  []text{{"nfacctd.conf", nfacctdConf}, {"primitives.lst", nfacctdPrimitives}},
		format: "CONFIG-KEYS and examples/primitives.lst.example of github.com/pmacct/pmacct, version 1.7.7", proof: ran,
	},
	{
		// A definitions file is merged key by key at its top: one with 0 (IANA) would
		// take all of IANA's elements away (lib/logstash/codecs/netflow.rb).
		name: "logstash", preset: "elk", dir: "/etc/logstash", transports: udp, reverse: shown, own: defined,
		files:  []text{{"flow2ipfix-netflow.yaml", logstashNetflow9}, {"flow2ipfix.conf", logstashConf}, {"flow2ipfix.yaml", elasticDefinitions}},
		format: "docs/index.asciidoc of github.com/logstash-plugins/logstash-codec-netflow", proof: byPaper,
	},
	{
		name: "filebeat", preset: "elk", dir: "/etc/filebeat", transports: udp, reverse: shown, own: defined,
		files:  []text{{"filebeat-input.yml", filebeatInput}, {"flow2ipfix-fields.yml", elasticDefinitions}},
		format: "x-pack/filebeat/docs/inputs/input-netflow.asciidoc and input/netflow/definitions.go of github.com/elastic/beats", proof: byPaper,
	},
	{
		name: "nprobe", preset: "ntopng", dir: "/etc/nprobe", transports: []string{"udp", "tcp", "tls"}, reverse: unknown, own: defined,
		files:  []text{{"custom-fields.txt", nprobeFields}, {"nprobe.sh", nprobeScript}},
		format: "doc/src/cli_options.rst and doc/src/case_study/collecting_proprietary_flow_fields.rst of github.com/ntop/nProbe", proof: byPaper,
	},
	{
		name: "ntopng", preset: "ntopng", dir: "/etc/nprobe", tables: true, transports: []string{"udp", "tcp", "tls"}, reverse: unknown, own: defined,
		files:  []text{{"ntopng.conf", ntopngConf}, {"custom-fields.txt", nprobeFields}, {"nprobe.sh", nprobeScript}},
		format: "doc/src/cli_options.rst and doc/src/case_study/collecting_proprietary_flow_fields.rst of github.com/ntop/nProbe", proof: byPaper,
	},
	{
		name: "telegraf", preset: "telegraf", dir: "/etc/telegraf", transports: udp, reverse: defined, own: defined,
		files:  []text{{"flow2ipfix-pen.csv", telegrafNumbers}, {"flow2ipfix.conf", telegrafConf}},
		format: "plugins/inputs/netflow/README.md of github.com/influxdata/telegraf, version 1.37.2", proof: ran,
	},
	{
		name: "libfds", preset: "generic", dir: "/etc/libfds/user/elements", transports: []string{"udp", "tcp"}, reverse: shown, own: defined, onlyOwn: true,
		files:  []text{{"flow2ipfix.xml", libfdsElements}},
		format: "config/system/elements/*.xml of github.com/CESNET/libfds", proof: byPaper,
	},
	{
		// A static interface needs name, description and speed
		// (outlet/metadata/provider/root.go); exporterIPv4Address is not read
		// (outlet/flow/decoder/netflow/decode.go).
		name: "akvorado", preset: "akvorado", dir: "config", transports: udp, reverse: shown, own: dropped, tables: true, keyed: true,
		files:  []text{{"inlet.yaml", akvoradoInlet}, {"outlet.yaml", akvoradoOutlet}},
		format: "console/data/docs/50-configuration.md of github.com/akvorado/akvorado", proof: byPaper,
	},
	{
		name: "elastiflow", preset: "elastiflow", dir: "/etc/elastiflow/metadata", transports: udp, reverse: unknown, own: unknown, tables: true, keyed: true, named: true,
		files:  []text{{"flowcoll.yml", elastiflowConf}, {"netifs.yml", elastiflowInterfaces}},
		format: "docs.elastiflow.com, Network Interfaces (user-defined metadata) and Configuration Reference", proof: byPaper,
	},
	{
		name: "nfdump", preset: "nfdump", dir: "/etc/nfdump", transports: udp, reverse: shown, own: dropped,
		known:  nfdumpFields,
		files:  []text{{"nfcapd.sh", nfcapdScript}},
		format: "nfcapd(1) of nfdump 1.7.1", proof: ran,
	},
	{
		name: "solarwinds", preset: "solarwinds", tables: true, transports: udp, reverse: unknown, own: unknown,
		files:  []text{{"solarwinds.txt", solarwindsText}},
		format: "SolarWinds' page on the fields that NTA requires", proof: byPaper,
	},
	{
		name: "prtg", preset: "prtg", transports: udp, reverse: unknown, own: unknown,
		files:  []text{{"prtg.txt", prtgText}},
		format: "Paessler's manual of the IPFIX sensor", proof: byPaper,
	},
	{
		name: "wireshark", preset: "generic", transports: []string{"udp", "tcp"}, reverse: shown, own: shown,
		files:  []text{{"wireshark.txt", wiresharkText}},
		format: "tshark(1), version 4.0.17", proof: "The tests of flow2ipfix compare the names of fields with tshark's.",
	},
}

// goflow2Fields are the elements that goflow2 has a field for, with its name in
// JSON; those with none are part of every line, or make up others.
var goflow2Fields = map[uint16]string{
	1: "", 2: "", 4: "", 7: "", 8: "", 10: "", 11: "", 12: "", 14: "", 21: "", 22: "", 27: "", 28: "", 60: "",
	150: "", 151: "", 152: "", 153: "",
	6: "tcp_flags", 56: "src_mac", 80: "dst_mac", 89: "forwarding_status", 138: "observation_point_id",
}

// pmacctPrimitives are the elements that nfacctd has a primitive for; those with
// none are counters, which it shows always. peer_src_ip is always where datagrams
// come from: exporterIPv4Address needs a primitive of its own.
var pmacctPrimitives = map[uint16]string{
	1: "", 2: "", 4: "proto", 6: "tcpflags", 7: "src_port", 8: "src_host", 10: "in_iface", 11: "dst_port", 12: "dst_host", 14: "out_iface",
	21: "timestamp_end", 22: "timestamp_start", 27: "src_host", 28: "dst_host", 56: "src_mac", 80: "dst_mac",
	150: "timestamp_start", 151: "timestamp_end", 152: "timestamp_start", 153: "timestamp_end",
}

// nfdumpFields are the elements that nfdump 1.7.1 shows.
var nfdumpFields = map[uint16]string{
	1: "", 2: "", 4: "", 6: "", 7: "", 8: "", 10: "", 11: "", 12: "", 14: "", 21: "", 22: "", 27: "", 28: "", 34: "", 56: "", 61: "", 80: "",
	138: "", 152: "", 153: "", 234: "", 235: "",
}

// logstashMisses are the elements that its lib/logstash/codecs/netflow/netflow.yaml
// has no entry for; one of them, and it refuses the template.
var logstashMisses = []uint16{130, 131, 138, 150, 151, 153, 161}
