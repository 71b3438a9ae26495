package collectorside

import "strings"

func nfacctdConf(v *view) {
	v.head("!")
	v.putf(`! Start nfacctd with it: nfacctd -f %s
! What comes from Azure is late: flows keep their own times, as long as
! nfacctd_time_new is not set.
`, v.path("nfacctd.conf"))
	if v.has(130, 131) {
		v.put(`! nfacctd 1.7.7 takes the sender of datagrams for the exporter (peer_src_ip). The
! address that records name is exporter_ipv4_address or exporter_ipv6_address.
`)
	}
	if len(v.reverse()) > 0 {
		v.put("! Reverse counters are keys here: they are shown, but not added up.\n")
	}
	if v.sends("interfaces") {
		v.put("! Names of interfaces come in options records, which are not accounted here.\n")
	}
	v.put("daemonize: false\n")
	if !v.everywhere() {
		v.putf("nfacctd_ip: %s\n", v.Listen.Addr())
	}
	v.putf("nfacctd_port: %d\nnfacctd_pipe_size: 8388608\n", v.Listen.Port())
	if len(v.unknown()) > 0 {
		v.putf("aggregate_primitives: %s\n", v.path("primitives.lst"))
	}
	primitives := v.known()
	if len(primitives) == 0 {
		primitives = strings.Fields("src_host dst_host src_port dst_port proto in_iface out_iface timestamp_start timestamp_end")
	}
	primitives = append(primitives, "export_proto_sysid")
	for _, f := range v.unknown() {
		primitives = append(primitives, f.snake())
	}
	v.putf(`aggregate: %s
! A JSON object a line; without print_output_file to standard output.
plugins: print
print_output: json
print_refresh_time: 60
! print_output_file: /var/lib/pmacct/flows.json
! print_output_file_append: true
`, strings.Join(primitives, ", "))
}

func nfacctdPrimitives(v *view) {
	if len(v.unknown()) == 0 {
		return
	}
	v.comment("!")
	if variable := v.variable(false); len(variable) > 0 {
		v.putf(`!
! nfacctd 1.7.7 shows %s empty, because the length is variable:
! set enterprise.string_octets.
`, strings.Join(names(variable), ", "))
	}
	for _, f := range v.unknown() {
		if f.value != "" {
			v.putf("! %s: %s\n", f.Name, f.value)
		}
		v.putf("name=%s field_type=", f.snake())
		if f.Enterprise != 0 {
			v.putf("%d:", f.Enterprise)
		}
		v.putf("%d len=%s semantics=%s\n", f.ID, f.length("vlen"), nfacctdSemantics(f))
	}
}

func nfacctdSemantics(f field) string {
	switch {
	case f.text():
		return "str"
	case f.address():
		return "ip"
	case f.mac():
		return "mac"
	}
	return "u_int"
}
