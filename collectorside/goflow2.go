package collectorside

import "strings"

func goflow2Mapping(v *view) {
	v.head("#")
	v.putf(`# Start goflow2 with it:
#   goflow2 -listen 'netflow://%s/?workers=1' -addr 127.0.0.1:8080 -format json -mapping %s
# One worker keeps lines of standard output apart.
`, v.Listen, v.path("mapping.yaml"))
	if padded := v.padded(); len(padded) > 0 {
		v.putf(`# Strings of fixed length (%s) are shown in
# hexadecimal digits: as text, the NUL octets behind them would make goflow2 drop
# the whole record. With ipfix and no enterprise.string_octets they come as text.
`, strings.Join(names(padded), ", "))
	}
	v.put(`formatter:
  fields:
    - type
    - time_received_ns
    - sequence_num
    - sampling_rate
    - sampler_address
    - observation_domain_id
    - time_flow_start_ns
    - time_flow_end_ns
    - bytes
    - packets
    - src_addr
    - dst_addr
    - etype
    - proto
    - src_port
    - dst_port
    - in_if
    - out_if
`)
	for _, name := range v.known() {
		v.putf("    - %s\n", name)
	}
	unknown := v.unknown()
	for _, f := range unknown {
		v.putf("    - %s", f.snake())
		if f.value != "" {
			v.putf(" # %s", f.value)
		}
		v.put("\n")
	}
	if len(unknown) > 0 {
		v.put("  protobuf:\n")
	}
	for _, f := range unknown {
		kind := "varint"
		if f.text() || f.address() {
			kind = "bytes"
		}
		v.putf("    - name: %s\n      index: %d\n      type: %s\n", f.snake(), f.index(), kind)
	}
	v.put("  render:\n    time_received_ns: datetimenano\n")
	for _, f := range unknown {
		switch {
		case f.text() && f.variable():
			v.putf("    %s: string\n", f.snake())
		case f.address():
			v.putf("    %s: ip\n", f.snake())
		}
	}
	if len(unknown) > 0 {
		v.putf("%s:\n  mapping:\n", v.byProtocol("ipfix", "netflowv9", "netflowv9"))
	}
	for _, f := range unknown {
		v.putf("    - field: %d\n", f.ID)
		if f.Enterprise != 0 {
			v.putf("      penprovided: true\n      pen: %d\n", f.Enterprise)
		}
		v.putf("      destination: %s\n", f.snake())
	}
}
