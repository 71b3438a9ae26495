package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"flow2ipfix/config"
)

func newMan(u *ui) *cobra.Command {
	return &cobra.Command{
		Use:                   "man [8 | 5]",
		DisableFlagsInUseLine: true,
		Short:                 "print the manual pages: 8 is the program's, 5 the configuration's",
		Long:                  manLong,
		Example:               manExamples,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && args[0] != "8" && args[0] != "5" {
				return usagef("see flow2ipfix man --help", "want section 8 or 5, got %q", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "5" {
				return manConfig(u.out, manDate())
			}
			return manProgram(u.out, cmd.Root(), manDate())
		},
	}
}

// manDate is the day of the source, if the one who builds says it
// (reproducible-builds.org). A page without one is not dated.
func manDate() string {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly)
}

// manProgram writes flow2ipfix(8): what --help says, of all commands.
func manProgram(out io.Writer, root *cobra.Command, date string) error {
	var r roff
	r.title("flow2ipfix", "8", date, "flow2ipfix "+root.Version, manualName)
	r.section("NAME")
	r.b.WriteString(roffText("flow2ipfix") + ` \- ` + roffText(root.Short) + "\n")
	r.section("SYNOPSIS")
	r.b.WriteString(bold("flow2ipfix") + " " + italic("COMMAND") + " [" + italic("FLAGS") + "]\n")
	intro, codes, _ := strings.Cut(root.Long, "exit codes:\n")
	r.section("DESCRIPTION")
	r.prose(intro)
	r.paragraph(manService)
	r.section("COMMANDS")
	manCommands(&r, root)
	r.section("EXIT STATUS")
	for line := range strings.SplitSeq(codes, "\n") {
		code, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		r.item(bold(code), strings.TrimSpace(what))
	}
	r.section("SIGNALS")
	for _, s := range manSignals {
		r.item(bold(s[0]), s[1])
	}
	r.section("ENVIRONMENT")
	for _, v := range manEnvironment {
		r.item(bold(v[0]), v[1])
	}
	r.section("FILES")
	for _, f := range manFiles {
		r.item(italic(f[0]), f[1])
	}
	r.section("SEE ALSO")
	r.b.WriteString(bold("flow2ipfix.yaml") + "(5), " + bold("systemctl") + "(1), " + bold("journalctl") + "(1)\n")
	_, err := io.WriteString(out, r.b.String())
	return err
}

// manCommands writes a subsection for each command that does something.
func manCommands(r *roff, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if !c.IsAvailableCommand() || c.Name() == "help" {
			continue
		}
		r.subsection(c.UseLine())
		long := c.Long
		if long == "" {
			long = sentence(c.Short)
		}
		r.prose(long)
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			r.item(manFlag(f))
		})
		if c.HasExample() {
			r.paragraph("Examples:")
			r.prose(c.Example)
		}
		manCommands(r, c)
	}
}

// manFlag returns a flag as it is written, and what it does.
func manFlag(f *pflag.Flag) (term, text string) {
	value, usage := pflag.UnquoteUsage(f)
	term = bold("--" + f.Name)
	if f.Shorthand != "" {
		term = bold("-"+f.Shorthand) + ", " + term
	}
	if value != "" {
		term += "=" + italic(value)
	}
	switch f.DefValue {
	case "", "false", "0", "0s", "[]":
		return term, usage
	}
	return term, usage + " (default " + f.DefValue + ")"
}

// sentence makes one of what stands beside a command in the list of all.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }

// manConfig writes flow2ipfix.yaml(5).
func manConfig(out io.Writer, date string) error {
	keys := config.Keys()
	var r roff
	r.title("flow2ipfix.yaml", "5", date, "flow2ipfix "+versionText(), manualName)
	r.section("NAME")
	r.b.WriteString(roffText("flow2ipfix.yaml") + ` \- ` + "configuration of flow2ipfix\n")
	r.section("SYNOPSIS")
	r.b.WriteString(italic(defaultConfig) + "\n")
	r.section("DESCRIPTION")
	r.prose(manConfigIntro)
	r.section("EXAMPLE")
	r.example(manConfigExample)
	for _, at := range referenceSections(keys) {
		if at == "" {
			r.section("KEYS AT THE TOP")
		} else {
			r.section("KEYS OF " + at)
		}
		for _, k := range keys {
			switch {
			case k.Path == strings.TrimSuffix(at, "[]") && at != "":
				r.paragraph(k.Doc)
			case sectionOf(k.Path) == at:
				r.item(bold(k.Path[len(at):][min(len(at), 1):])+" ("+roffText(manKind(k))+")", manKey(k)...)
			}
		}
		if example := referenceExamples[at]; example != "" {
			r.example(example)
		}
	}
	r.section("SECRETS")
	r.prose(manSecrets)
	r.section("FILES")
	r.item(italic(defaultConfig), "The configuration, unless --config says otherwise.")
	r.item(italic(manExamplesFolder+"flow2ipfix.yaml"), "Every key with its default, and what it means.")
	r.section("SEE ALSO")
	r.b.WriteString(bold("flow2ipfix") + "(8), " + bold("systemd.exec") + "(5)\n")
	_, err := io.WriteString(out, r.b.String())
	return err
}

// manKind says what stands behind a key, and whether it has to.
func manKind(k config.Key) string {
	switch {
	case k.Default != "":
		return k.Type + ", default " + strings.ReplaceAll(k.Default, ",", ", ")
	case k.Required:
		return k.Type + ", must be given"
	case k.Either:
		return k.Type + ", one of these must be given"
	}
	return k.Type
}

// manKey says what a key means, what it may be, and its variable.
func manKey(k config.Key) []string {
	text := []string{k.Doc}
	switch {
	case len(k.Enum) > 0:
		text = append(text, "One of: "+strings.Join(k.Enum, ", ")+".")
		if k.Type == "list" {
			text[1] = "Any of: " + strings.Join(k.Enum, ", ") + "."
		}
	case k.Want != "":
		text = append(text, fmt.Sprintf("Wanted: %s.", k.Want))
	}
	if k.Env != "" {
		text = append(text, "Environment: "+k.Env)
	}
	return text
}
