package azureexamples

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const examples = "../../examples/azure/"

// TestTerraform: main.tf is whole.
func TestTerraform(t *testing.T) {
	text, err := os.ReadFile(examples + "main.tf")
	if err != nil {
		t.Fatal(err)
	}
	for _, wrong := range checkTerraform(t, string(text)) {
		t.Error(wrong)
	}
}

// TestTerraformSees: what TestTerraform looks for, it finds.
func TestTerraformSees(t *testing.T) {
	const network = `data "azurerm_virtual_network" "n" {
  name                = "n"
  resource_group_name = "g"
}
`
	for _, tc := range []struct{ text, want string }{
		{`resource "azurerm_storage_container" "c" {`, "Unclosed configuration block"},
		{network + `output "x" { value = data.azurerm_virtual_network.m.id }`, "data.azurerm_virtual_network.m is not declared"},
		{network + `output "x" { value = data.azurerm_virtual_network.n.ids }`, "data.azurerm_virtual_network has no ids"},
		{`output "x" { value = var.y }`, "var.y is not declared"},
		{`variable "y" {}`, "var.y is not used"},
		{`locals { y = 1 }`, "local.y is not used"},
		{`resource "azurerm_storage_container" "c" {}`, "azurerm_storage_container wants name"},
		{`resource "azurerm_storage_container" "c" {
  name  = "c"
  colour = "red"
}`, "azurerm_storage_container takes no colour"},
		{`resource "azurerm_storage_bucket" "c" {}`, "nothing is known of azurerm_storage_bucket"},
		{`resource "azurerm_storage_management_policy" "p" {
  storage_account_id = "x"
  rule {
    name    = "a"
    enabled = true
    filters {
      blob_types = ["blockBlob"]
      prefix     = []
    }
    actions {}
  }
}`, "azurerm_storage_management_policy.rule.filters takes no prefix"},
	} {
		if got := checkTerraform(t, tc.text); !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, tc.want) }) {
			t.Errorf("%s\nwant %q, got %q", tc.text, tc.want, got)
		}
	}
}

// schema is what a block takes.
type schema struct {
	Arguments map[string]string
	Blocks    map[string]struct {
		schema
		Required bool
	}
	Exports []string
}

func checkTerraform(t *testing.T, text string) (wrong []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/azurerm-4.55.0.json")
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]schema{}
	if err := json.Unmarshal(b, &known); err != nil {
		t.Fatal(err)
	}
	file, diags := hclsyntax.ParseConfig([]byte(text), "main.tf", hcl.InitialPos)
	if diags.HasErrors() {
		return []string{diags.Error()}
	}
	say := func(at hcl.Range, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("%s: %s", at, fmt.Sprintf(format, args...)))
	}
	body := file.Body.(*hclsyntax.Body)
	used, declared := map[string]bool{}, map[string]hcl.Range{}
	for _, block := range body.Blocks {
		kind := ""
		switch block.Type {
		case "variable", "output":
			if block.Type == "variable" {
				declared["var."+block.Labels[0]] = block.DefRange()
			}
			continue
		case "locals":
			for name := range block.Body.Attributes {
				declared["local."+name] = block.DefRange()
			}
			continue
		case "resource":
			kind = block.Labels[0]
			declared[kind+"."+block.Labels[1]] = block.DefRange()
		case "data":
			kind = "data." + block.Labels[0]
			declared[kind+"."+block.Labels[1]] = block.DefRange()
		case "provider":
			kind = "provider." + block.Labels[0]
		default:
			continue
		}
		if takes, ok := known[kind]; ok {
			checkBlock(say, kind, block, takes)
		} else {
			say(block.DefRange(), "nothing is known of %s", kind)
		}
	}
	_ = hclsyntax.VisitAll(body, func(n hclsyntax.Node) hcl.Diagnostics {
		e, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return nil
		}
		var names []string
		for _, step := range e.Traversal {
			switch step := step.(type) {
			case hcl.TraverseRoot:
				names = append(names, step.Name)
			case hcl.TraverseAttr:
				names = append(names, step.Name)
			}
		}
		length := 2
		if names[0] == "data" {
			length = 3
		}
		if len(names) < length || len(names) == 1 {
			return nil // a keyword, such as string
		}
		address := strings.Join(names[:length], ".")
		used[address] = true
		if _, ok := declared[address]; !ok {
			say(e.Range(), "%s is not declared", address)
		}
		kind := strings.Join(names[:length-1], ".")
		if takes, ok := known[kind]; ok && len(names) > length && !slices.Contains(takes.Exports, names[length]) {
			say(e.Range(), "%s has no %s", kind, names[length])
		}
		return nil
	})
	for address, at := range declared {
		if (strings.HasPrefix(address, "var.") || strings.HasPrefix(address, "local.")) && !used[address] {
			say(at, "%s is not used", address)
		}
	}
	return wrong
}

// meta is what Terraform itself understands in every block of a resource.
var meta = []string{"count", "depends_on", "for_each", "provider"}

func checkBlock(say func(hcl.Range, string, ...any), name string, block *hclsyntax.Block, takes schema) {
	for argument, a := range block.Body.Attributes {
		if _, ok := takes.Arguments[argument]; !ok && (strings.Count(name, ".") > 1 || !slices.Contains(meta, argument)) {
			say(a.Range(), "%s takes no %s", name, argument)
		}
	}
	for argument, how := range takes.Arguments {
		if _, ok := block.Body.Attributes[argument]; !ok && how == "required" {
			say(block.DefRange(), "%s wants %s", name, argument)
		}
	}
	given := map[string]bool{}
	for _, inner := range block.Body.Blocks {
		given[inner.Type] = true
		if within, ok := takes.Blocks[inner.Type]; ok {
			checkBlock(say, name+"."+inner.Type, inner, within.schema)
		} else {
			say(inner.DefRange(), "%s takes no %s", name, inner.Type)
		}
	}
	for inner, within := range takes.Blocks {
		if within.Required && !given[inner] {
			say(block.DefRange(), "%s wants %s", name, inner)
		}
	}
}
