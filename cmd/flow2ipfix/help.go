package main

import (
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Many flags are easier to read under headings. Each group has one; flags without
// a group come first.

const groupAnnotation = "group"

// grouped puts the flags that define adds under a heading.
func grouped(fl *pflag.FlagSet, heading string, define func()) {
	before := map[string]bool{}
	fl.VisitAll(func(f *pflag.Flag) { before[f.Name] = true })
	define()
	fl.VisitAll(func(f *pflag.Flag) {
		if !before[f.Name] {
			f.Annotations = map[string][]string{groupAnnotation: {heading}}
		}
	})
}

// helpWidth is how many characters a line of help has at most.
const helpWidth = 110

// flagUsages returns the help of flags, with headings.
func flagUsages(fl *pflag.FlagSet) string {
	groups := map[string]*pflag.FlagSet{}
	var order []string
	fl.VisitAll(func(f *pflag.Flag) {
		heading := "Flags"
		if g := f.Annotations[groupAnnotation]; len(g) > 0 {
			heading = g[0]
		}
		if groups[heading] == nil {
			groups[heading] = pflag.NewFlagSet("", pflag.ContinueOnError)
			groups[heading].SortFlags = fl.SortFlags
			order = append(order, heading)
		}
		groups[heading].AddFlag(f)
	})
	var b strings.Builder
	for i, heading := range order {
		if i > 0 {
			b.WriteString("\n\n")
		}
		b.WriteString(heading + ":\n" + strings.TrimRight(groups[heading].FlagUsagesWrapped(helpWidth), "\n"))
	}
	return b.String()
}

// addFlagUsages is done once: cobra keeps such functions for all commands, and the
// tests run several at a time.
var addFlagUsages = sync.OnceFunc(func() { cobra.AddTemplateFunc("flagUsages", flagUsages) })

// useGroups makes a command and all below it print flags with headings.
func useGroups(root *cobra.Command) {
	addFlagUsages()
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(),
		"Flags:\n{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}", "{{flagUsages .LocalFlags}}", 1))
}
