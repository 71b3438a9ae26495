// Package azureexamples holds examples/azure to what can be known without Azure:
// that Terraform's and bash's parsers take the files, that every name in
// Terraform's is declared, that its resources have the arguments that the provider
// wants and no others, and that cli.sh asks az for the right things in the right
// order.
//
// What lives nowhere is Azure: whether it takes what the files ask for is seen only
// there. Bicep's files are not checked: its compiler cannot be had here, and the only
// other parser is C.
//
// testdata/azurerm-4.55.0.json is the part of the schema of Terraform's provider
// azurerm that main.tf uses. It was made from the declarations of the npm package
// @cdktf/provider-azurerm 14.23.1, which are generated from that schema.
package azureexamples
