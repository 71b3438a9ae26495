package main

const sendTestLong = `Send-test sends a collector a few flows that are easy to recognise, the way that
flows of a flow log go, and prints what should be seen there: flows that were
allowed both ways, denied, only began, over IPv6, with counters above 32 bits,
ICMP, encrypted. Then look whether it is.

The flows are of the last minute, of an interface called flow2ipfix-test with the
MAC address 00005E005301, and between addresses for documentation (192.0.2.10 and
2001:db8::10 with 198.51.100.0/24, 203.0.113.0/24 and others). Nobody has sent that
traffic; the flow with large counters adds 348 GB to the collector's sums, and may
set off its alarms: --flows leaves flows out.

What should be seen is not worked out but decoded: a collector of this process
gets the same messages. Numbers that many collectors show rounded are printed
whole.

With --config, collectors are those of the configuration, reached and told as it
says: the way to try TLS, and what run would send. Its policies hold, too: flows
that only began, for example, are sent only if it has begin: export.

Code 0 says that the collector did not refuse. Refused means that its host answers
that nothing listens at the port: it does not run, listens on another port, or on
another address of that host. No route means that nobody answers at that address,
or that this machine has no way there. Over tcp and tls a refusal can also be the
collector's own, as its certificate or ours does not please the other side. That
nothing is refused shows little over UDP: a firewall drops without a word, and a
collector skips what it does not understand.`

const sendTestExamples = `  flow2ipfix send-test --collector udp://10.20.0.5:2055 --preset ntopng
  flow2ipfix send-test --collector udp://10.20.0.6:9995 --preset nfdump --flows https,denied --repeat 30
  flow2ipfix send-test --config /etc/flow2ipfix/flow2ipfix.yaml --collector ntopng`
