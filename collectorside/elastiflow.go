package collectorside

func elastiflowConf(v *view) {
	v.head("#")
	v.putf(`# Into flowcoll.yml; with Docker these are environment variables. The Community
# edition takes 500 records a second: set rate: 500 of this collector.
EF_FLOW_SERVER_UDP_IP: %s
EF_FLOW_SERVER_UDP_PORT: "%d"
EF_PROCESSOR_DECODE_%s_ENABLE: "true"
EF_PROCESSOR_DECODE_MAX_RECORDS_PER_PACKET: "64"
EF_PROCESSOR_ENRICH_NETIF_METADATA_ENABLE: "true"
EF_PROCESSOR_ENRICH_NETIF_METADATA_USERDEF_PATH: %s
`, quote(v.Listen.Addr().String()), v.Listen.Port(), v.byProtocol("IPFIX", "NETFLOW9", "NETFLOW5"), quote(v.path("netifs.yml")))
	if v.sends("interfaces") {
		v.put("EF_PROCESSOR_ENRICH_NETIF_FLOW_OPTIONS_ENABLE: \"true\"\n")
	}
}

func elastiflowInterfaces(v *view) {
	v.head("#")
	v.putf(`# To %s. Interfaces that come up later are not in it: make it anew
# from time to time.
`, v.path("netifs.yml"))
	v.unindexed()
	none := ""
	if len(v.indexed()) == 0 {
		none = " {}"
		v.put(`# No interface is known: add them as
#   1:
#     ifName: nic-web-1
`)
	}
	for _, key := range v.keys() {
		v.putf("%s:%s\n", quote(key.String()), none)
		for _, i := range v.indexed() {
			v.putf(`  %d:
    ifName: %s
    ifDescr: %s
    ifAlias: %[2]s
    internal: true
`, i.Index, quote(i.Name), quote(i.MAC))
		}
	}
}
