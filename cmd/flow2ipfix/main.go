// Command flow2ipfix turns Azure flow logs into IPFIX and sends them to the
// collectors that a network operations centre already has.
package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"flow2ipfix/config"
)

// version is set by the build.
var version = ""

// Exit codes, as `flow2ipfix --help` lists them.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitRejected    = 3
	exitConfig      = 78
	exitInterrupted = 130
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the program: one call, one exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, end := untilSignal(ctx)
	defer end()
	signal.Ignore(syscall.SIGPIPE) // a write says it, and what was begun is cleaned up

	u := newUI(stdout, stderr)
	root := newRoot(u, stdin)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var code exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		u.interrupted()
		return exitInterrupted
	}
	u.fail(err)
	var usage *usageError
	var wrong config.Errors
	var part *configError
	switch {
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &wrong), errors.As(err, &part):
		return exitConfig
	}
	return exitFailure
}

// untilSignal returns a context that the first signal ends, so that the work ends in an
// orderly way. Before anybody can see that it has ended, signals do again what they
// always do: a second one kills.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, end := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer end()
		defer signal.Stop(signals)
		select {
		case <-signals:
		case <-ctx.Done():
		}
	}()
	return ctx, end
}

// exitCode ends the program with a code when everything has been said.
type exitCode int

func (e exitCode) Error() string { return "" }

// usageError is a wrong command line.
type usageError struct {
	err  error
	hint string
}

func (e *usageError) Error() string { return e.err.Error() }

func (e *usageError) Unwrap() error { return e.err }

func newRoot(u *ui, stdin io.Reader) *cobra.Command {
	root := &cobra.Command{
		Use:           "flow2ipfix",
		Short:         rootShort,
		Version:       versionText(),
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetUsageFunc(usage)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{err, "see " + cmd.CommandPath() + " --help"}
	})
	root.AddCommand(
		newDemo(u),
		newRun(u),
		newReplay(u, stdin),
		newCollect(u),
		newGenerate(u),
		newTemplates(u),
		newConfig(u),
		newDoctor(u),
		newSendTest(u),
		newCollectorConfig(u),
		newCheckpoints(u),
		newMan(u),
		newVersion(u),
	)
	return root
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasParent() {
		return usagef("see flow2ipfix --help for the commands", "unknown command %q", args[0])
	}
	return usagef("see "+cmd.CommandPath()+" --help", "%s takes no arguments, got %q", cmd.Name(), args[0])
}
