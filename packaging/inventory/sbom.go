package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
)

// The part of CycloneDX 1.5 that is needed (https://cyclonedx.org/docs/1.5/json).
type (
	bom struct {
		Schema       string       `json:"$schema"`
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		SerialNumber string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Timestamp string     `json:"timestamp"`
		Component component  `json:"component"`
		Settings  []property `json:"properties"`
	}
	component struct {
		Type     string    `json:"type"`
		Ref      string    `json:"bom-ref"`
		Name     string    `json:"name"`
		Version  string    `json:"version"`
		Hashes   []hash    `json:"hashes,omitempty"`
		Licences []licence `json:"licenses"`
		PURL     string    `json:"purl"`
	}
	hash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licence struct {
		Expression string `json:"expression"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// writeSBOM writes the bill of materials of a binary.
func writeSBOM(out io.Writer, binary []byte, info *debug.BuildInfo, modules []module, version string, date time.Time) error {
	if version == "" {
		return fmt.Errorf("write bill of materials: want -version VERSION")
	}
	main := newComponent("application", info.Main.Path, version, "Apache-2.0")
	sum := sha256.Sum256(binary)
	main.Hashes = []hash{{"SHA-256", hex.EncodeToString(sum[:])}}
	b := bom{
		Schema:      "http://cyclonedx.org/schema/bom-1.5.schema.json",
		Format:      "CycloneDX",
		SpecVersion: "1.5",
		Version:     1,
		Metadata:    metadata{Timestamp: date.Format(time.RFC3339), Component: main},
		Components:  []component{},
	}
	for _, s := range info.Settings {
		// What it was built for.
		if s.Key == "CGO_ENABLED" || s.Key == "GOOS" || strings.HasPrefix(s.Key, "GOA") {
			b.Metadata.Settings = append(b.Metadata.Settings, property{"flow2ipfix:build:" + s.Key, s.Value})
		}
	}
	linked := dependency{main.Ref, []string{}}
	for _, m := range modules {
		c := newComponent("library", m.path, m.version, m.expression())
		if sum, ok := strings.CutPrefix(m.sum, "h1:"); ok {
			raw, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return fmt.Errorf("module %s: sum %q: %w", m.path, m.sum, err)
			}
			c.Hashes = []hash{{"SHA-256", hex.EncodeToString(raw)}}
		}
		b.Components = append(b.Components, c)
		linked.On = append(linked.On, c.Ref)
	}
	b.Dependencies = []dependency{linked}
	content, err := json.Marshal(b)
	if err != nil {
		return err
	}
	b.SerialNumber = serial(content)
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(b)
}

func newComponent(kind, path, version, licences string) component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: kind, Ref: purl, Name: path, Version: version, Licences: []licence{{licences}}, PURL: purl}
}

// serial makes a URN of what is in a document, in place of a random one, as a
// UUID of version 8 (RFC 9562, section 5.8).
func serial(content []byte) string {
	u := sha256.Sum256(content)
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}
