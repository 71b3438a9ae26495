package collectorside

import "strings"

func nprobeFields(v *view) {
	if len(v.own()) == 0 {
		return
	}
	v.head("#")
	v.put("# Name\tSTANDARD_ALIAS\tPEN\tFieldId\tLen\tFormat\n")
	for _, f := range v.own() {
		if f.value != "" {
			v.putf("# %s\n", f.value)
		}
		format := "dump_as_uint"
		if f.text() {
			format = "dump_as_ascii"
		}
		v.putf("%s\tNONE\t%d\t%d\t%s\t%s\n", f.screaming(), f.Enterprise, f.ID, f.length("64"), format)
	}
}

func nprobeScript(v *view) {
	v.put("#!/bin/sh\n")
	v.head("#")
	v.put(`# ntopng reads from port 5556: ntopng -i tcp://127.0.0.1:5556
# Interface indexes are the same in all observation domains, so nothing is mixed up
# without --use-obs-domain-id.
`)
	if len(v.own()) > 0 {
		v.put("# Custom fields take nProbe Professional. Lua scripts of ntopng can give them names.\n")
	}
	if variable := v.variable(true); len(variable) > 0 {
		v.putf(`# %s: the documents do not say how nProbe reads strings of
# variable length. If they come out wrong, set enterprise.string_octets.
`, strings.Join(names(variable), ", "))
	}
	port := ""
	if v.Scheme != "udp" {
		port += v.Scheme + "://"
	}
	if !v.everywhere() {
		port += v.Listen.Addr().String() + ":"
	}
	v.putf("exec nprobe -i none -n none \\\n  --collector-port %s%d \\\n", port, v.Listen.Port())
	fields := "@NTOPNG@"
	if len(v.own()) > 0 {
		v.putf("  --load-custom-fields %s \\\n", v.path("custom-fields.txt"))
		for _, f := range v.own() {
			fields += " %" + f.screaming()
		}
	}
	v.putf("  --ntopng 'zmq://127.0.0.1:5556' \\\n  -T '%s'\n", fields)
}

func ntopngConf(v *view) {
	v.head("#")
	v.put(`# ntopng takes flows from nProbe: start nprobe.sh beside it. The two records of a
# flow become one there. Interfaces are shown by their numbers; names can be given
# to them by hand (not verified: where, and whether from a file).
`)
	for _, i := range v.indexed() {
		v.putf("#   %d\t%s\n", i.Index, plain(i.Name))
	}
	v.put("-i=tcp://127.0.0.1:5556\n")
}
