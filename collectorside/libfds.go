package collectorside

func libfdsElements(v *view) {
	v.put("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!--\n")
	v.comment(" ")
	v.putf(`
  It goes to /etc/libfds/user/elements, where ipfixcol2 finds it when it starts. The
  names are then flow2ipfix:azureRule and so on. Reverse elements it knows already.
-->
<ipfix-elements>
    <scope>
        <pen>%d</pen>
        <name>flow2ipfix</name>
        <biflow mode="none"></biflow>
    </scope>

`, v.number())
	for _, f := range v.own() {
		v.putf(`    <!-- %s -->
    <element>
        <id>%d</id>
        <name>%s</name>
        <dataType>%s</dataType>
`, f.value, f.ID, f.Name, f.Type)
		if !f.text() {
			v.put("        <dataSemantics>identifier</dataSemantics>\n")
		}
		v.put("        <status>current</status>\n    </element>\n")
	}
	v.put("</ipfix-elements>\n")
}
