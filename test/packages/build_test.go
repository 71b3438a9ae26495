package packages

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestSameBytes: the same source gives the same files, wherever, by whom and in
// whatever time zone it is built.
func TestSameBytes(t *testing.T) {
	files, err := os.ReadDir(first.folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		one, two := filepath.Join(first.folder, f.Name()), filepath.Join(second.folder, f.Name())
		if out, err := exec.Command("cmp", one, two).CombinedOutput(); err != nil {
			t.Errorf("%s differs from one build to the next: %s", f.Name(), out)
		}
	}
	if len(files) != 5 {
		t.Errorf("a release for one architecture has %d files, want deb, rpm, tar.gz, bill of materials and sums", len(files))
	}
	cmd := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	cmd.Dir = first.folder
	if out := said(t, cmd); strings.Count(out, ": OK") != 4 {
		t.Errorf("SHA256SUMS: %s", out)
	}
}

// TestLint: lintian and rpmlint find nothing. What they are told not to look at
// stands in packaging/, with the reason.
func TestLint(t *testing.T) {
	if out := said(t, exec.Command("lintian", "--allow-root", "--display-info", "--fail-on", "error,warning,info", first.deb())); out != "" {
		t.Errorf("lintian: %s", out)
	}
	out := said(t, exec.Command("rpmlint", "--config", filepath.Join(checkout, "packaging", "rpmlint.toml"), first.rpm()))
	if !strings.Contains(out, "1 packages and 0 specfiles checked; 0 errors, 0 warnings") {
		t.Errorf("rpmlint: %s", out)
	}
}

// maxProgramBytes is how large the program may be.
const maxProgramBytes = 20_000_000

// TestSize: what makes the program much larger is seldom meant, like a template
// (also one of cobra's), with which the linker keeps all methods of all types.
func TestSize(t *testing.T) {
	root := t.TempDir()
	said(t, exec.Command("dpkg-deb", "-x", first.deb(), root))
	info, err := os.Stat(filepath.Join(root, "usr/bin/flow2ipfix"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxProgramBytes {
		t.Errorf("the program has %d bytes, want %d at most", info.Size(), maxProgramBytes)
	}
}

// overstrike is how a terminal without colours shows bold.
var overstrike = regexp.MustCompile(".\x08")

// TestManPages: man and groff have nothing to say about them, and they name every
// key and command.
func TestManPages(t *testing.T) {
	root := t.TempDir()
	said(t, exec.Command("dpkg-deb", "-x", first.deb(), root))
	for page, words := range map[string][]string{
		"man8/flow2ipfix.8.gz":      {"flow2ipfix - Azure flow logs", "config check", "EXIT STATUS", "flow2ipfix.yaml(5)", oldVersion, "2026-09-21"},
		"man5/flow2ipfix.yaml.5.gz": {"account_url", "FLOW2IPFIX_LOG_LEVEL", "EXAMPLE", "flow2ipfix(8)", oldVersion},
	} {
		file := filepath.Join(root, "usr/share/man", page)
		man := exec.Command("man", "--warnings", "-l", "-Tutf8", file)
		man.Env = append(os.Environ(), "MANWIDTH=80", "MANPAGER=cat", "MAN_KEEP_FORMATTING=", "LC_ALL=C.UTF-8", "GROFF_NO_SGR=1")
		var stderr strings.Builder
		man.Stderr = &stderr
		text, err := man.Output()
		if err != nil || stderr.Len() > 0 {
			t.Errorf("man %s: %v %s", page, err, stderr.String())
		}
		plain := overstrike.ReplaceAllString(string(text), "")
		for _, w := range words {
			if !strings.Contains(plain, w) {
				t.Errorf("%s does not say %q", page, w)
			}
		}
		for _, device := range []string{"utf8", "ascii"} {
			if out := said(t, exec.Command("sh", "-c", `gzip -dc "$0" | groff -ww -man -T`+device+` 2>&1 >/dev/null`, file)); out != "" {
				t.Errorf("groff -T%s %s: %s", device, page, out)
			}
		}
	}
}

// TestArchive: the tar.gz has all that a machine without packages needs, and the
// program in it runs.
func TestArchive(t *testing.T) {
	folder := t.TempDir()
	said(t, exec.Command("tar", "-C", folder, "-xzf", first.file("*.tar.gz")))
	top := filepath.Join(folder, fmt.Sprintf("flow2ipfix_%s_linux_%s", oldVersion, runtime.GOARCH))
	for _, name := range []string{
		"LICENSE", "README.md", "third-party-notices", "flow2ipfix.yaml", "man/flow2ipfix.8", "man/flow2ipfix.yaml.5",
		"systemd/flow2ipfix.service", "systemd/flow2ipfix.sysusers", "examples/flow2ipfix.yaml", "completions/flow2ipfix.zsh",
	} {
		if info, err := os.Stat(filepath.Join(top, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s is missing or empty: %v", name, err)
		}
	}
	said(t, exec.Command("bash", "-n", filepath.Join(top, "completions/flow2ipfix.bash")))
	if out := said(t, exec.Command(filepath.Join(top, "flow2ipfix"), "version")); !strings.HasPrefix(out, "flow2ipfix "+oldVersion+" ") {
		t.Errorf("version says %q", out)
	}
	said(t, exec.Command(filepath.Join(top, "flow2ipfix"), "config", "check", "--config", filepath.Join(top, "examples/flow2ipfix.yaml")))
}

// TestBillOfMaterials: it names each module of the binary, with its version, sum
// and licence.
func TestBillOfMaterials(t *testing.T) {
	root := t.TempDir()
	said(t, exec.Command("dpkg-deb", "-x", first.deb(), root))
	info, err := buildinfo.ReadFile(filepath.Join(root, "usr/bin/flow2ipfix"))
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(first.file("*.cdx.json"))
	if err != nil {
		t.Fatal(err)
	}
	var bom struct {
		BOMFormat, SpecVersion, SerialNumber string
		Metadata                             struct {
			Timestamp string
			Component struct {
				Name, Version string
				Hashes        []struct{ Alg, Content string }
			}
		}
		Components []struct {
			Type, Name, Version, PURL string
			Hashes                    []struct{ Alg, Content string }
			Licenses                  []struct{ Expression string }
		}
	}
	if err := json.Unmarshal(content, &bom); err != nil {
		t.Fatal(err)
	}
	main := bom.Metadata.Component
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.5" || main.Name != "flow2ipfix" || main.Version != oldVersion || bom.Metadata.Timestamp != "2026-09-21T14:13:20Z" {
		t.Errorf("%s %s of %s %s at %s", bom.BOMFormat, bom.SpecVersion, main.Name, main.Version, bom.Metadata.Timestamp)
	}
	if sum, _, _ := strings.Cut(said(t, exec.Command("sha256sum", filepath.Join(root, "usr/bin/flow2ipfix"))), " "); len(main.Hashes) != 1 || main.Hashes[0].Content != sum {
		t.Errorf("the binary's sum is %s, not %v", sum, main.Hashes)
	}
	listed := map[string]bool{}
	for i, c := range bom.Components {
		listed[c.Name+"@"+c.Version] = true
		if c.Type != "library" || !strings.HasPrefix(c.PURL, "pkg:golang/"+c.Name+"@") || len(c.Licenses) != 1 || c.Licenses[0].Expression == "" || len(c.Hashes) != 1 && i > 0 {
			t.Errorf("incomplete: %+v", c)
		}
	}
	for _, m := range info.Deps {
		if !listed[m.Path+"@"+m.Version] {
			t.Errorf("%s %s is linked, but not listed", m.Path, m.Version)
		}
	}
	if want := len(info.Deps) + 1; len(bom.Components) != want { // and Go's library
		t.Errorf("%d components, want %d", len(bom.Components), want)
	}
	notices := said(t, exec.Command("gzip", "-dc", filepath.Join(root, "usr/share/doc/flow2ipfix/third-party-notices.gz")))
	for _, m := range info.Deps {
		if strings.Count(notices, m.Path+" "+m.Version+": ") < 2 {
			t.Errorf("the licence of %s is not passed on", m.Path)
		}
	}
}

// TestVersions: what git says becomes a version, and deb and rpm take each for
// later than the one before.
func TestVersions(t *testing.T) {
	repo := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		said(t, exec.Command("git", append([]string{"-C", repo, "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"}, args...)...))
	}
	git("init", "-q")
	if err := os.Mkdir(filepath.Join(repo, "packaging"), 0o755); err != nil {
		t.Fatal(err)
	}
	said(t, exec.Command("cp", filepath.Join(checkout, "packaging/build.sh"), filepath.Join(repo, "packaging")))
	git("add", "-A")
	git("commit", "-qm", "one")
	version := func() string {
		t.Helper()
		return strings.TrimSpace(said(t, exec.Command(filepath.Join(repo, "packaging/build.sh"), "--version")))
	}
	commit := func() { t.Helper(); git("commit", "-qm", "more", "--allow-empty") }
	versions := []string{version()}
	commit()
	versions = append(versions, version())
	git("tag", "v0.9.0-rc1")
	versions = append(versions, version())
	commit()
	versions = append(versions, version())
	git("tag", "v0.9.0")
	versions = append(versions, version())
	commit()
	versions = append(versions, version())
	commit()
	git("tag", "-a", "v0.10.0", "-m", "ten")
	versions = append(versions, version())

	for i, want := range []string{"0.0.0+1.g", "0.0.0+2.g", "0.9.0~rc1", "0.9.0~rc1+1.g", "0.9.0", "0.9.0+1.g", "0.10.0"} {
		if got := versions[i]; got != want && (!strings.HasSuffix(want, ".g") || !strings.HasPrefix(got, want)) {
			t.Errorf("version %d is %s, want %s", i, got, want)
		}
	}
	for i, v := range versions[1:] {
		said(t, exec.Command("dpkg", "--compare-versions", versions[i]+"-1", "lt", v+"-1"))
		if out := said(t, exec.Command("rpm", "--eval", fmt.Sprintf(`%%{lua: print(rpm.vercmp("%s", "%s"))}`, versions[i], v))); strings.TrimSpace(out) != "-1" {
			t.Errorf("rpm does not take %s for earlier than %s: %s", versions[i], v, out)
		}
	}
	if err := os.WriteFile(filepath.Join(repo, "new"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := version(); got != "0.10.0.dirty" {
		t.Errorf("with a file that is not committed the version is %s", got)
	}
}
