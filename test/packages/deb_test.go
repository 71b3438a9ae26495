package packages

import (
	"strings"
	"testing"
)

// TestDeb installs, changes, upgrades, removes, installs again and purges.
func TestDeb(t *testing.T) {
	m := newMachine(t)
	before, after := m.put(first.deb()), m.put(later.deb())

	// The first installation, without systemd running.
	out := m.run("dpkg -i " + before)
	if !strings.Contains(out, "fill in /etc/flow2ipfix/flow2ipfix.yaml") {
		t.Errorf("dpkg -i does not say what to do next: %s", out)
	}
	m.checkInstalled(oldVersion)
	m.want("systemctl is-enabled flow2ipfix", "enabled")
	m.wantNone("dpkg --verify flow2ipfix | grep -v flow2ipfix.yaml || true") // which is filled in

	// An upgrade keeps what was changed, and that it was disabled. It starts the
	// service anew if it runs, and does not start it otherwise.
	m.run("chmod 600 /etc/flow2ipfix/flow2ipfix.yaml; chown flow2ipfix /etc/flow2ipfix/flow2ipfix.yaml; cp /etc/flow2ipfix/flow2ipfix.yaml /mine")
	m.run("install -d -o flow2ipfix -g flow2ipfix /var/lib/flow2ipfix; touch /var/lib/flow2ipfix/state.db")
	m.run("systemctl disable flow2ipfix")
	m.startSystemd()
	m.run("dpkg --force-confold -i " + after)
	told := m.told()
	for _, want := range []string{"daemon-reload", "try-restart flow2ipfix.service"} {
		if !strings.Contains(told, want) {
			t.Errorf("an upgrade does not tell systemd %s: %s", want, told)
		}
	}
	if strings.Contains(told, " start") || strings.Contains(told, " stop") || strings.HasPrefix(told, "start") || strings.HasPrefix(told, "stop") {
		t.Errorf("an upgrade starts or stops the service: %s", told)
	}
	m.stopSystemd()
	m.run("cmp /mine /etc/flow2ipfix/flow2ipfix.yaml")
	m.want("stat -c '%a %U' /etc/flow2ipfix/flow2ipfix.yaml", "600 flow2ipfix")
	m.run("grep -q 'New in this version' /etc/flow2ipfix/flow2ipfix.yaml.dpkg-dist")
	m.run("flow2ipfix version | grep -q " + newVersion)
	m.run("test -e /var/lib/flow2ipfix/state.db")
	if out, _ := m.try("systemctl is-enabled flow2ipfix"); strings.TrimSpace(out) != "disabled" {
		t.Errorf("after an upgrade the service that was disabled is %s", out)
	}

	// Removed: the program goes, configuration and state stay.
	m.run("systemctl enable flow2ipfix")
	m.startSystemd()
	m.run("dpkg -r flow2ipfix")
	if told := m.told(); !strings.Contains(told, "stop flow2ipfix.service") {
		t.Errorf("a removal does not stop the service: %s", told)
	}
	m.stopSystemd()
	m.run("cmp /mine /etc/flow2ipfix/flow2ipfix.yaml; test -e /var/lib/flow2ipfix/state.db; test ! -e /usr/bin/flow2ipfix")

	// Installed again, it goes on with what stayed.
	m.run("dpkg --force-confold -i " + after)
	m.run("cmp /mine /etc/flow2ipfix/flow2ipfix.yaml")
	m.want("systemctl is-enabled flow2ipfix", "enabled")

	// Purged: nothing is left but the user.
	m.run("dpkg -P flow2ipfix")
	m.wantNone("find / -xdev -name '*flow2ipfix*' ! -name '*.deb'")
	m.run("getent passwd flow2ipfix")
}

// TestDebUnchanged: who changed nothing gets the new configuration, which belongs
// to whom it belonged; a group that the administrator chose stays.
func TestDebUnchanged(t *testing.T) {
	m := newMachine(t)
	before, after := m.put(first.deb()), m.put(later.deb())
	m.startSystemd()
	m.run("dpkg -i " + before)
	if told := m.told(); strings.Contains(told, "start") {
		t.Errorf("an installation starts the service: %s", told)
	}
	m.stopSystemd()
	m.run("dpkg -i " + after + " </dev/null")
	m.run("grep -q 'New in this version' /etc/flow2ipfix/flow2ipfix.yaml")
	m.checkInstalled(newVersion)
	m.want("systemctl is-enabled flow2ipfix", "enabled")

	// It does not install without what it needs.
	m.run("dpkg -P flow2ipfix; dpkg --force-depends -P ca-certificates")
	if out, code := m.try("dpkg -i " + after); code == 0 || !strings.Contains(out, "depends on ca-certificates") {
		t.Errorf("it installs without ca-certificates: %s", out)
	}
}
