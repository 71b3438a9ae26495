package main

import (
	"fmt"
	"io"
	"strings"

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

// usage writes what cobra writes of a command, with headings among its flags. It is
// no template: one template anywhere, and the linker keeps all methods of all types,
// because it could call them by their names. That would be a quarter of the program.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	b.WriteString("Usage:")
	if cmd.Runnable() {
		b.WriteString("\n  " + cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n  " + cmd.CommandPath() + " [command]")
	}
	if cmd.HasExample() {
		b.WriteString("\n\nExamples:\n" + cmd.Example)
	}
	if cmd.HasAvailableSubCommands() {
		b.WriteString("\n\nAvailable Commands:")
		for _, sub := range cmd.Commands() {
			if sub.IsAvailableCommand() || sub.Name() == "help" {
				fmt.Fprintf(&b, "\n  %-*s %s", sub.NamePadding(), sub.Name(), sub.Short)
			}
		}
	}
	if cmd.HasAvailableFlags() {
		b.WriteString("\n\n" + flagUsages(cmd.Flags()))
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n\nUse \"%s [command] --help\" for more information about a command.", cmd.CommandPath())
	}
	_, err := io.WriteString(cmd.OutOrStderr(), b.String()+"\n")
	return err
}
