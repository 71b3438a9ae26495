package collectorside

func akvoradoInlet(v *view) {
	v.head("#")
	v.putf(`# Into inlet.yaml, among flow: inputs:. Flows of Azure are late; without
# timestamp-source they would be shown when they came.
flow:
  inputs:
    - type: udp
      decoder: netflow
      listen: %s
      receive-buffer: 8388608
      use-src-addr-for-exporter-addr: true
`, quote(v.Listen.String()))
	if v.has(22, 150, 152) {
		v.put("      timestamp-source: netflow-first-switched\n")
	}
}

func akvoradoOutlet(v *view) {
	v.head("#")
	v.put(`# Into outlet.yaml, first among metadata: providers:. Akvorado drops flows of an
# interface without name, description and speed; Azure says no speeds, so 1000
# (Mbit/s) stands for all. Interfaces that come up later are "default" until this
# is made anew; names are not read from options records.
`)
	if v.has(130, 131) {
		v.put(`# Exporters are known by the address that datagrams come from; the exporter's
# address in records is not read.
`)
	}
	if v.protocol() != "netflow5" && !v.has(34) && !v.sends("sampling") {
		v.put(`# Nothing says that flows are not sampled (samplingInterval is not sent): Akvorado
# drops such flows, unless core: default-sampling-rate: 1 is set.
`)
	}
	v.unindexed()
	v.put(`metadata:
  providers:
    - type: static
      exporters:
`)
	for _, key := range v.keys() {
		v.putf(`        %s:
          name: azure
          default:
            name: unknown
            description: an Azure network interface that is not listed
            speed: 1000
`, quote(key.String()))
		if len(v.indexed()) > 0 {
			v.put("          ifindexes:\n")
		}
		for _, i := range v.indexed() {
			v.putf(`            %d:
              name: %s
              description: %s
              speed: 1000
`, i.Index, quote(i.Name), quote(i.MAC))
		}
	}
}
