package collectorside

import "fmt"

func filebeatInput(v *view) {
	v.head("#")
	v.putf(`# Under filebeat.inputs of filebeat.yml. Elements come as netflow.*, in lower case
# with underscores. Times of flows are netflow.flow_start_milliseconds and
# netflow.flow_end_milliseconds; @timestamp is when the message was sent, minutes
# late. event.start and event.end are not made of these times.
filebeat.inputs:
  - type: netflow
    host: %s
    protocols: [%s]
    max_message_size: %d
    read_buffer: 8MiB
    expiration_timeout: 30m
    queue_size: 8192
`, quote(v.Listen.String()), v.byProtocol("ipfix", "v9", "v5"), max(10240, v.MaxMessageBytes))
	if len(v.own()) > 0 {
		v.putf("    custom_definitions:\n      - %s\n", v.path("flow2ipfix-fields.yml"))
	}
}

// elasticDefinitions are the enterprise elements, for Logstash and Filebeat alike.
func elasticDefinitions(v *view) {
	if len(v.own()) == 0 {
		return
	}
	v.comment("#")
	v.putf("%d:\n", v.number())
	for _, f := range v.own() {
		if f.value != "" {
			v.putf("  # %s\n", f.value)
		}
		v.putf("  %d:\n  - :%s\n  - :%s\n", f.ID, elasticType(f), f.Name)
	}
}

func elasticType(f field) string {
	switch {
	case f.text():
		return "string"
	case f.Type == "ipv4Address":
		return "ip4_addr"
	case f.Type == "ipv6Address":
		return "ip6_addr"
	}
	return fmt.Sprintf("uint%d", 8*f.Length)
}

func logstashConf(v *view) {
	v.head("#")
	v.put("# The kernel must allow the buffer: sysctl -w net.core.rmem_max=16777216\n")
	if len(v.own()) > 0 || len(v.undefined9()) > 0 {
		v.put(`# Logstash refuses every template with an element that it does not know: the
# definitions have to be there before the first record comes.
`)
	}
	v.put("input {\n  udp {\n")
	if !v.everywhere() {
		v.putf("    host => \"%s\"\n", v.Listen.Addr())
	}
	v.putf(`    port => %d
    receive_buffer_bytes => 16777216
    codec => netflow {
      versions => [%s]
`, v.Listen.Port(), v.byProtocol("10", "9", "5"))
	if len(v.own()) > 0 {
		v.putf("      ipfix_definitions => \"%s\"\n", v.path("flow2ipfix.yaml"))
	}
	if len(v.undefined9()) > 0 {
		v.putf("      netflow_definitions => \"%s\"\n", v.path("flow2ipfix-netflow.yaml"))
	}
	end := "last_switched"
	switch {
	case v.has(153):
		end = "flowEndMilliseconds"
	case v.has(151):
		end = "flowEndSeconds"
	}
	v.putf(`    }
  }
}
filter {
  # Without this, @timestamp is when the message was sent: minutes late, after an
  # outage hours.
  date { match => ["[netflow][%s]", "ISO8601"] }
}
# Add your output, for example:
# output { elasticsearch { hosts => ["http://127.0.0.1:9200"] } }
`, end)
}

// logstashNetflow9 are the elements that Logstash does not know in NetFlow version 9.
func logstashNetflow9(v *view) {
	if len(v.undefined9()) == 0 {
		return
	}
	v.comment("#")
	for _, f := range v.undefined9() {
		v.putf("%d:\n- :%s\n- :%s\n", f.ID, elasticType(f), f.Name)
	}
}
