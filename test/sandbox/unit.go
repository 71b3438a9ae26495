// Package sandbox runs the program as its systemd unit would have it, as far as
// that can be done without systemd as process 1: as another user without
// capabilities, with no new privileges, and below the unit's system-call filter
// and the other settings that systemd makes seccomp filters of.
//
// What needs process 1 is not here: cgroups (memory and task limits, the device
// and IP filters) and most of the settings that are mounts.
package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"flow2ipfix/test/peers"
)

// Unit is the [Service] section of a unit file: what each key was given, in order.
type Unit map[string][]string

// ReadUnit reads a unit file.
func ReadUnit(path string) (Unit, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	u, section := Unit{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case section == "[Service]":
			key, value, ok := strings.Cut(line, "=")
			if !ok {
				return nil, fmt.Errorf("%s: no key: %q", path, line)
			}
			u[key] = append(u[key], value)
		}
	}
	if len(u) == 0 {
		return nil, fmt.Errorf("%s has no [Service]", path)
	}
	return u, nil
}

// Get returns the last value of a key.
func (u Unit) Get(key string) string {
	if v := u[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return ""
}

// Calls returns the names of the system calls that SystemCallFilter= lets pass, as
// systemd.exec(5) has it: the first line is a list of what is allowed, and later
// ones add to it or, behind ~, take away from it.
func (u Unit) Calls() (map[string]bool, error) {
	allowed := map[string]bool{}
	sets := map[string][]string{}
	var each func(name string, do func(string)) error
	each = func(name string, do func(string)) error {
		if !strings.HasPrefix(name, "@") {
			do(name)
			return nil
		}
		members, ok := sets[name]
		if !ok {
			out, err := peers.Output("systemd-analyze", "--no-pager", "syscall-filter", name)
			if err != nil {
				return err
			}
			for line := range strings.Lines(string(out)) {
				if strings.HasPrefix(line, "    ") && !strings.Contains(line, "#") {
					members = append(members, strings.TrimSpace(line))
				}
			}
			sets[name] = members
		}
		if len(members) == 0 {
			return fmt.Errorf("systemd-analyze knows no system calls of %s", name)
		}
		for _, m := range members {
			if err := each(m, do); err != nil {
				return err
			}
		}
		return nil
	}
	// These are allowed by systemd always.
	if err := each("@default", func(name string) { allowed[name] = true }); err != nil {
		return nil, err
	}
	for i, value := range u["SystemCallFilter"] {
		list, deny := strings.CutPrefix(value, "~")
		if i == 0 && deny {
			return nil, errors.New("SystemCallFilter= begins with what is denied")
		}
		for name := range strings.FieldsSeq(list) {
			if err := each(name, func(call string) {
				if deny {
					delete(allowed, call)
				} else {
					allowed[call] = true
				}
			}); err != nil {
				return nil, err
			}
		}
	}
	return allowed, nil
}

// numbers returns the numbers that this machine's system calls have.
func numbers() (map[string]uint32, error) {
	out, err := peers.Output("gcc", "-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null")
	if err != nil {
		return nil, err
	}
	found := map[string]uint32{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) != 3 || !strings.HasPrefix(f[1], "__NR_") {
			continue
		}
		if n, err := strconv.ParseUint(f[2], 10, 32); err == nil {
			found[strings.TrimPrefix(f[1], "__NR_")] = uint32(n)
		}
	}
	if len(found) < 200 {
		return nil, fmt.Errorf("the C library's headers name %d system calls", len(found))
	}
	return found, nil
}

// Rules is what a process has to do to itself before it becomes the program.
type Rules struct {
	UID      int      // 0: stay who it is
	Umask    int      `json:",omitempty"`
	Calls    []uint32 // that are allowed
	Kill     bool     // whoever makes another one dies; else it is told EPERM
	Families []uint32 // of sockets
	NoFiles  uint64   // limit of open files
	Writable []string // folders that can be written; nil leaves all as it is
	Env      []string
	Args     []string // the program and its arguments
}

// nobody is a user that owns nothing.
const nobody = 65534

// Rules returns the unit's.
func (u Unit) Rules() (*Rules, error) {
	calls, err := u.Calls()
	if err != nil {
		return nil, err
	}
	known, err := numbers()
	if err != nil {
		return nil, err
	}
	r := &Rules{}
	for name := range calls {
		if n, ok := known[name]; ok { // the others are of other machines
			r.Calls = append(r.Calls, n)
		}
	}
	slices.Sort(r.Calls)
	families := map[string]uint32{"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
	for name := range strings.FieldsSeq(u.Get("RestrictAddressFamilies")) {
		n, ok := families[name]
		if !ok {
			return nil, fmt.Errorf("RestrictAddressFamilies= has %s, which the sandbox does not know", name)
		}
		r.Families = append(r.Families, n)
	}
	umask, err := strconv.ParseInt(u.Get("UMask"), 8, 32)
	if err != nil {
		return nil, fmt.Errorf("UMask=: %w", err)
	}
	r.Umask = int(umask)
	if r.NoFiles, err = strconv.ParseUint(u.Get("LimitNOFILE"), 10, 64); err != nil {
		return nil, fmt.Errorf("LimitNOFILE=: %w", err)
	}
	for _, key := range []string{"MemoryDenyWriteExecute", "NoNewPrivileges", "RestrictNamespaces", "RestrictSUIDSGID", "LockPersonality"} {
		if u.Get(key) != "yes" {
			return nil, fmt.Errorf("%s= is %q, but the sandbox always has it", key, u.Get(key))
		}
	}
	if os.Getuid() == 0 {
		r.UID = nobody
	}
	return r, nil
}
