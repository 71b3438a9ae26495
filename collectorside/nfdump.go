package collectorside

import "strings"

func nfcapdScript(v *view) {
	v.put("#!/bin/sh\n")
	v.head("#")
	v.put(`# Files are cut by when flows came in, and hold Azure's own times. Print them with
#   nfdump -R /var/cache/nfdump -o 'fmt:%ts %te %pr %sap -> %dap %ipkt %ibyt %opkt %obyt %in %out'
`)
	if unknown := v.unknown(); len(unknown) > 0 {
		v.putf("# Not shown: %s.\n", strings.Join(names(unknown), ", "))
	}
	if v.has(89) {
		v.put("# forwardingStatus is shown from 1.7.8 on; 1.7.1, of Debian 12, shows 0.\n")
	}
	v.put("# A denied flow has 0 packets: nfdump -R /var/cache/nfdump 'packets < 1'\n")
	if len(v.Set.Options) > 0 {
		v.put("# Up to 1.7.8 each options record counts as a sequence failure. Nothing is lost.\n")
	}
	on := ""
	if !v.everywhere() {
		on = " -b " + v.Listen.Addr().String()
	}
	v.putf(`mkdir -p /var/cache/nfdump
exec nfcapd%s -p %d -w /var/cache/nfdump -S 1 -t 300 -B 8388608
`, on, v.Listen.Port())
}
