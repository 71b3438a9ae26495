package collectorside

func telegrafConf(v *view) {
	times := "first_switched and last_switched"
	switch {
	case v.has(153):
		times = "flow_start_ms and flow_end_ms"
	case v.has(151):
		times = "flow_start and flow_end"
	}
	v.head("#")
	v.putf(`# A metric has the time when it came in. Azure's times are its fields
# %s.
`, times)
	if len(v.Set.Options) > 0 {
		v.put("# Options records become metrics of their own: netflow_options.\n")
	}
	network, on := "udp", v.Listen.String()
	switch {
	case v.Listen.Addr().Is4():
		network = "udp4"
	case v.everywhere():
		on = on[len("[::]"):]
	}
	v.putf(`[[inputs.netflow]]
  service_address = "%s://%s"
  read_buffer_size = "8MiB"
  protocol = "%s"
`, network, on, v.byProtocol("ipfix", "netflow v9", "netflow v5"))
	if len(v.enterprise()) > 0 {
		v.putf("  private_enterprise_number_files = [%s]\n", quote(v.path("flow2ipfix-pen.csv")))
	}
}

func telegrafNumbers(v *view) {
	if len(v.enterprise()) == 0 {
		return
	}
	v.head("#")
	v.put("# PEN.ID, name, data type\n")
	for _, f := range v.enterprise() {
		if f.value != "" {
			v.putf("# %s\n", f.value)
		}
		kind := "uint"
		if f.text() {
			kind = "string"
		}
		v.putf("%d.%d,%s,%s\n", f.Enterprise, f.ID, f.snake(), kind)
	}
}
