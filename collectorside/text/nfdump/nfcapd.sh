#!/bin/sh
{{comment "#" .Head}}#
# Files are cut by when flows came in, and hold Azure's own times. Print them with
#   nfdump -R /var/cache/nfdump -o 'fmt:%ts %te %pr %sap -> %dap %ipkt %ibyt %opkt %obyt %in %out'
{{- with .Unknown}}
# Not shown: {{join (names .) ", "}}.
{{- end}}
{{- if .Has 89}}
# forwardingStatus is shown from 1.7.8 on; 1.7.1, of Debian 12, shows 0.
{{- end}}
# A denied flow has 0 packets: nfdump -R /var/cache/nfdump 'packets < 1'
{{- if .Set.Options}}
# Up to 1.7.8 each options record counts as a sequence failure. Nothing is lost.
{{- end}}
mkdir -p /var/cache/nfdump
exec nfcapd{{if not .Everywhere}} -b {{.Listen.Addr}}{{end}} -p {{.Listen.Port}} -w /var/cache/nfdump -S 1 -t 300 -B 8388608
