#!/bin/sh
{{comment "#" .Head}}#
# ntopng reads from port 5556: ntopng -i tcp://127.0.0.1:5556
# Interface indexes are the same in all observation domains, so nothing is mixed up
# without --use-obs-domain-id.
{{- if .Own}}
# Custom fields take nProbe Professional. Lua scripts of ntopng can give them names.
{{- end}}
{{- with .Variable true}}
# {{join (names .) ", "}}: the documents do not say how nProbe reads strings of
# variable length. If they come out wrong, set enterprise.string_octets.
{{- end}}
exec nprobe -i none -n none \
  --collector-port {{if ne .Scheme "udp"}}{{.Scheme}}://{{end}}{{if not .Everywhere}}{{.Listen.Addr}}:{{end}}{{.Listen.Port}} \
{{- if .Own}}
  --load-custom-fields {{.Path "custom-fields.txt"}} \
{{- end}}
  --ntopng 'zmq://127.0.0.1:5556' \
  -T '@NTOPNG@{{range .Own}} %{{.Screaming}}{{end}}'
