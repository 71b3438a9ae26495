package azureexamples

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCLIParses: bash and ShellCheck take the script.
func TestCLIParses(t *testing.T) {
	for _, args := range [][]string{{"bash", "-n"}, {"shellcheck"}} {
		args = append(args, examples+"cli.sh")
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// runCLI runs the script before testdata/az.
func runCLI(t *testing.T, env ...string) (asked []string, stdout, stderr string, err error) {
	t.Helper()
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "asked")
	cmd := exec.Command("bash", examples+"cli.sh")
	cmd.Env = append([]string{"PATH=" + testdata + ":" + os.Getenv("PATH"), "AZ_ASKED=" + file}, env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if b, readErr := os.ReadFile(file); readErr == nil {
		asked = strings.Split(strings.TrimSpace(string(b)), "\n")
	}
	return asked, out.String(), errs.String(), err
}

const (
	account   = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Storage/storageAccounts/nocflowlogs"
	container = "insights-logs-flowlogflowevent"
	vnet      = "/subscriptions/s/resourceGroups/rg-hub/providers/Microsoft.Network/virtualNetworks/vnet-hub"
	wholeYAML = `sources:
  - name: vnet-hub
    azure:
      account_url: https://nocflowlogs.blob.core.windows.net/
      credential: managed_identity
      containers: [insights-logs-flowlogflowevent]
`
)

var needed = []string{"RESOURCE_GROUP=rg-hub", "VNET=vnet-hub", "STORAGE_ACCOUNT=nocflowlogs"}

// TestCLIMakesAll: the script asks for everything, each thing after what it needs.
func TestCLIMakesAll(t *testing.T) {
	asked, stdout, stderr, err := runCLI(t, append(needed, "THERE=no", "VM=vm-1", "SUBNET=endpoints")...)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	if stdout != wholeYAML {
		t.Errorf("got\n%s\nwant\n%s", stdout, wholeYAML)
	}
	next := 0
	for _, want := range [][]string{
		{"provider register", "--namespace Microsoft.Insights"},
		{"storage account create", "--location westeurope", "--kind StorageV2", "--sku Standard_LRS", "--enable-hierarchical-namespace false", "--allow-blob-public-access false"},
		{"storage container-rm create", "--storage-account " + account, "--name " + container},
		{"storage account management-policy create", "--account-name nocflowlogs"},
		{"network watcher flow-log create", "--location westeurope", "--vnet " + vnet, "--storage-account " + account, "--retention 0"},
		{"vm identity assign", "--name vm-1"},
		{"role assignment create", "--assignee-object-id 11111111-1111-1111-1111-111111111111", "--role Storage Blob Data Reader", "--scope " + account + "/blobServices/default/containers/" + container + " "},
		{"network private-endpoint create", "--subnet endpoints", "--private-connection-resource-id " + account, "--group-id blob"},
		{"network private-dns zone create", "--name privatelink.blob.core.windows.net"},
		{"network private-dns link vnet create", "--virtual-network " + vnet},
		{"network private-endpoint dns-zone-group create", "--private-dns-zone privatelink.blob.core.windows.net"},
		{"storage account update", "--default-action Deny", "--bypass AzureServices"},
	} {
		at := slices.IndexFunc(asked[next:], func(s string) bool { return strings.HasPrefix(s, want[0]+" ") })
		if at < 0 {
			t.Fatalf("not asked, or too early: az %s; asked\n%s", want[0], strings.Join(asked, "\n"))
		}
		next += at
		for _, argument := range want[1:] {
			if !strings.Contains(asked[next]+" ", argument) {
				t.Errorf("az %s\nwithout %s", asked[next], argument)
			}
		}
	}
}

// TestCLIPolicy: the lifecycle policy is JSON that deletes from the container alone.
func TestCLIPolicy(t *testing.T) {
	asked, _, stderr, err := runCLI(t, append(needed, "THERE=no", "DAYS=30")...)
	if err != nil {
		t.Fatalf("%v: %s", err, stderr)
	}
	at := slices.IndexFunc(asked, func(s string) bool { return strings.Contains(s, "management-policy create") })
	_, text, _ := strings.Cut(asked[at], "--policy ")
	var policy struct {
		Rules []struct {
			Name, Type string
			Enabled    bool
			Definition struct {
				Filters struct {
					BlobTypes, PrefixMatch []string
				}
				Actions struct {
					BaseBlob struct {
						Delete struct{ DaysAfterModificationGreaterThan int }
					}
				}
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&policy); err != nil || len(policy.Rules) != 1 {
		t.Fatalf("%v in %s", err, text)
	}
	r := policy.Rules[0]
	if !r.Enabled || r.Type != "Lifecycle" || r.Definition.Actions.BaseBlob.Delete.DaysAfterModificationGreaterThan != 30 ||
		!slices.Equal(r.Definition.Filters.PrefixMatch, []string{container + "/"}) || !slices.Equal(r.Definition.Filters.BlobTypes, []string{"blockBlob"}) {
		t.Errorf("got %+v", r)
	}
}

// TestCLIAgain: what is there is left as it is, and without a VM and a subnet
// nobody gets a role or an endpoint.
func TestCLIAgain(t *testing.T) {
	asked, stdout, stderr, err := runCLI(t, append(needed, "THERE=yes")...)
	if err != nil || stdout != wholeYAML {
		t.Fatalf("%v: %s%s", err, stderr, stdout)
	}
	for _, s := range asked {
		for _, not := range []string{"storage account create", "management-policy create", "role assignment", "private-endpoint", "storage account update"} {
			if strings.Contains(s, not) {
				t.Errorf("asked: az %s", s)
			}
		}
	}
}

// TestCLIWantsNames: without the three names nothing is asked.
func TestCLIWantsNames(t *testing.T) {
	for i := range needed {
		asked, _, stderr, err := runCLI(t, slices.Delete(slices.Clone(needed), i, i+1)...)
		if name, _, _ := strings.Cut(needed[i], "="); err == nil || len(asked) > 0 || !strings.Contains(stderr, name) {
			t.Errorf("without %s: %v, asked %q, said %s", name, err, asked, stderr)
		}
	}
}
