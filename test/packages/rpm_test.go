package packages

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rpm runs rpm on a machine that has none itself: rpm enters it for what the
// package runs.
func (m *machine) rpm(args ...string) (string, error) {
	m.t.Helper()
	cmd := privileged(append([]string{"rpm", "--root", m.root, "--dbpath", "/var/lib/rpm"}, args...)...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) mustRPM(args ...string) string {
	m.t.Helper()
	out, err := m.rpm(args...)
	if err != nil {
		m.t.Fatalf("rpm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// system is a package that has what a machine of rpm's has.
const system = `name: system
arch: all
version: "1"
provides: [ca-certificates, systemd, /bin/sh]
maintainer: nobody <nobody@example.com>
description: stands for the system
`

// TestRPM installs, changes, upgrades and erases.
func TestRPM(t *testing.T) {
	m := newMachine(t)
	config := filepath.Join(t.TempDir(), "nfpm.yaml")
	if err := os.WriteFile(config, []byte(system), 0o600); err != nil {
		t.Fatal(err)
	}
	said(t, exec.Command("nfpm", "package", "--config", config, "--packager", "rpm", "--target", filepath.Dir(config)+"/system.rpm"))
	// As on RHEL, services are not enabled by themselves.
	m.run("mkdir -p /usr/lib/systemd/system-preset; echo 'disable *' >/usr/lib/systemd/system-preset/99-default-disable.preset")

	if out, err := m.rpm("-i", first.rpm()); err == nil || !strings.Contains(out, "ca-certificates is needed by flow2ipfix") {
		t.Errorf("it installs without ca-certificates: %s", out)
	}
	m.mustRPM("-i", filepath.Dir(config)+"/system.rpm")
	out := m.mustRPM("-i", first.rpm())
	if !strings.Contains(out, "fill in /etc/flow2ipfix/flow2ipfix.yaml") || strings.Contains(out, "warning") {
		t.Errorf("rpm -i says: %s", out)
	}
	// rpm compares with the users of this machine, not of that one.
	if out, _ := m.rpm("-V", "--nouser", "--nogroup", "flow2ipfix"); out != "" {
		t.Errorf("rpm -V says: %s", out)
	}
	m.checkInstalled(oldVersion)
	if out, _ := m.try("systemctl is-enabled flow2ipfix"); strings.TrimSpace(out) != "disabled" {
		t.Errorf("after the installation it is %s, against the presets", out)
	}

	// An upgrade.
	m.run("cp /etc/flow2ipfix/flow2ipfix.yaml /mine; systemctl enable flow2ipfix")
	m.run("install -d -o flow2ipfix -g flow2ipfix /var/lib/flow2ipfix; touch /var/lib/flow2ipfix/state.db")
	m.startSystemd()
	m.mustRPM("-U", later.rpm())
	told := m.told()
	for _, want := range []string{"daemon-reload", "try-restart flow2ipfix.service"} {
		if !strings.Contains(told, want) {
			t.Errorf("an upgrade does not tell systemd %s: %s", want, told)
		}
	}
	if strings.Contains(told, "disable") || strings.Contains(told, "preset") || strings.Contains(told, "stop") {
		t.Errorf("an upgrade disables or stops the service: %s", told)
	}
	m.stopSystemd()
	m.run("cmp /mine /etc/flow2ipfix/flow2ipfix.yaml")
	m.run("grep -q 'New in this version' /etc/flow2ipfix/flow2ipfix.yaml.rpmnew")
	m.want("stat -c '%a %U:%G' /etc/flow2ipfix/flow2ipfix.yaml", "640 root:flow2ipfix")
	m.run("flow2ipfix version | grep -q " + newVersion)
	m.want("systemctl is-enabled flow2ipfix", "enabled")

	// Erased: what was changed is set aside, the state stays.
	m.startSystemd()
	m.mustRPM("-e", "flow2ipfix")
	if told := m.told(); !strings.Contains(told, "disable --now flow2ipfix.service") {
		t.Errorf("erasing does not stop and disable the service: %s", told)
	}
	m.stopSystemd()
	m.run("cmp /mine /etc/flow2ipfix/flow2ipfix.yaml.rpmsave; test -e /var/lib/flow2ipfix/state.db")
	m.wantNone("find / -xdev -name '*flow2ipfix*' ! -path '/etc/flow2ipfix*' ! -path '/var/lib/flow2ipfix*' ! -path '/etc/systemd/*'")

	// Without systemd running it can be erased, too, and is disabled.
	m.mustRPM("-i", later.rpm())
	m.mustRPM("-e", "flow2ipfix")
	m.wantNone("find /etc/systemd -name '*flow2ipfix*'")
}
