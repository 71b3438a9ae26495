// Command inventory says what is in a release: which modules a binary was linked
// from (a bill of materials in CycloneDX's JSON), under which licences they stand
// and what those ask to be passed on, and what a version changed. It is part of
// building packages (packaging/build.sh), not of the product.
//
// What it says of a binary it reads from the binary itself. The same binary and
// the same modules give the same output, byte for byte.
package main

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "inventory:", err)
		}
		os.Exit(1)
	}
}

const usage = `usage: inventory sbom|notices [flags] BINARY
       inventory changelog [flags] CHANGELOG.md`

func run(args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet("inventory "+args[0], flag.ContinueOnError)
	version := flags.String("version", "", "the `VERSION` that is released")
	epoch := flags.Int64("epoch", 0, "when its source was last changed, in `SECONDS` since 1970")
	maintainer := flags.String("maintainer", "", "`NAME <ADDRESS>` of who releases it")
	form := flags.String("form", "deb", "of a changelog: `deb or nfpm`")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New(usage)
	}
	date := time.Unix(*epoch, 0).UTC()
	switch args[0] {
	case "sbom", "notices":
		binary, err := os.ReadFile(flags.Arg(0))
		if err != nil {
			return fmt.Errorf("read binary: %w", err)
		}
		info, err := buildinfo.Read(bytes.NewReader(binary))
		if err != nil {
			return fmt.Errorf("read binary: %w", err)
		}
		modules, err := modulesOf(info)
		if err != nil {
			return err
		}
		if args[0] == "notices" {
			return writeNotices(out, modules)
		}
		return writeSBOM(out, binary, info, modules, *version, date)
	case "changelog":
		changes, err := os.ReadFile(flags.Arg(0))
		if err != nil {
			return fmt.Errorf("read changelog: %w", err)
		}
		return writeChangelog(out, string(changes), *form, *version, *maintainer, date)
	}
	return errors.New(usage)
}
