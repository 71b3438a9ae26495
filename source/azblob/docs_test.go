package azblob

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestAzureDocument: the hints in docs/AZURE.md are those that the program gives,
// word by word.
func TestAzureDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/AZURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, began := strings.Cut(string(text), "<!-- hints:begin -->")
	table, _, ended := strings.Cut(table, "<!-- hints:end -->")
	if !began || !ended {
		t.Fatal("the table of hints has no marks")
	}

	const host = "nocflowlogs.blob.core.windows.net"
	var given []string
	for _, hint := range hints {
		given = append(given, hint)
	}
	for _, by := range hintsByCredential {
		for _, hint := range by {
			given = append(given, hint)
		}
	}
	for _, hint := range entra {
		given = append(given, hint)
	}
	for _, err := range []error{
		&net.DNSError{Err: "no such host", IsNotFound: true},
		x509.UnknownAuthorityError{},
		&net.OpError{Op: "dial", Err: errors.New("i/o timeout")},
		syscall.ECONNREFUSED,
	} {
		given = append(given, networkHint(err, host))
	}
	system, own := &Backend{cfg: Config{Credential: ManagedIdentity}}, &Backend{cfg: Config{Credential: ManagedIdentity, ClientID: "c"}}
	for _, status := range []int{0, 400} {
		given = append(given, system.credentialHint(&Error{Status: status}, &tokenError{}, ""), own.credentialHint(&Error{Status: status}, &tokenError{}, ""))
	}

	rows := 0
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), "|")
		hint := strings.TrimSpace(cells[len(cells)-1])
		if hint == "hint" || strings.HasPrefix(hint, "---") {
			continue
		}
		rows++
		if !slices.Contains(given, hint) {
			t.Errorf("no error has this hint: %s", hint)
		}
		for word := range strings.FieldsSeq(strings.ReplaceAll(cells[0], ",", "")) {
			// Codes are words with capitals inside.
			code := strings.TrimLeft(word, "0123456789 ")
			if len(code) < 9 || code == strings.ToLower(code) {
				continue
			}
			by := append([]string{hints[code], entra[code]}, hintsByCredential[code][""], hintsByCredential[code][SAS], hintsByCredential[code][AccountKey])
			if !slices.Contains(by, hint) {
				t.Errorf("%s does not have this hint: %s", code, hint)
			}
		}
	}
	if rows < 15 {
		t.Errorf("the table has %d rows", rows)
	}
}
