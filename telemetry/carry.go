package telemetry

// Carry adds to the counters of s what was counted before a reload, so that none
// goes back. Sources and collectors are the same if their names are. Those that s
// does not have are left out; the returned Snapshot has all of them, to be carried
// over the next reload.
func (s *Snapshot) Carry(before *Snapshot) (all Snapshot) {
	for _, n := range []struct{ to, from *uint64 }{
		{&s.BytesRead, &before.BytesRead},
		{&s.Records, &before.Records},
		{&s.Tuples, &before.Tuples},
		{&s.RejectedTuples, &before.RejectedTuples},
		{&s.UnknownVersions, &before.UnknownVersions},
		{&s.Commits, &before.Commits},
		{&s.CommitErrors, &before.CommitErrors},
	} {
		*n.to += *n.from
	}
	s.ByState = sum(s.ByState, before.ByState)
	s.RejectedPieces = sum(s.RejectedPieces, before.RejectedPieces)
	s.LeftOut = sum(s.LeftOut, before.LeftOut)
	all = *s
	all.Sources = append([]SourceState(nil), s.Sources...)
	all.Collectors = append([]CollectorState(nil), s.Collectors...)
	for i := range before.Sources {
		b := &before.Sources[i]
		if k := indexSource(s.Sources, b.Name); k >= 0 {
			s.Sources[k].carry(b)
			all.Sources[k] = s.Sources[k]
		} else {
			all.Sources = append(all.Sources, *b)
		}
	}
	for i := range before.Collectors {
		b := &before.Collectors[i]
		if k := indexCollector(s.Collectors, b.Name); k >= 0 {
			s.Collectors[k].carry(b)
			all.Collectors[k] = s.Collectors[k]
		} else {
			all.Collectors = append(all.Collectors, *b)
		}
	}
	return all
}

func indexSource(all []SourceState, name string) int {
	for i := range all {
		if all[i].Name == name {
			return i
		}
	}
	return -1
}

func indexCollector(all []CollectorState, name string) int {
	for i := range all {
		if all[i].Name == name {
			return i
		}
	}
	return -1
}

func (s *SourceState) carry(b *SourceState) {
	for _, n := range []struct{ to, from *uint64 }{
		{&s.Discoveries, &b.Discoveries},
		{&s.Lists, &b.Lists},
		{&s.ListErrors, &b.ListErrors},
		{&s.Reads, &b.Reads},
		{&s.ReadErrors, &b.ReadErrors},
		{&s.Rewritten, &b.Rewritten},
		{&s.Deleted, &b.Deleted},
		{&s.Late, &b.Late},
		{&s.HoursFinished, &b.HoursFinished},
		{&s.StateErrors, &b.StateErrors},
		{&s.ReadBytes, &b.ReadBytes},
	} {
		*n.to += *n.from
	}
	// What the state does not say of the run before is still known.
	if b.Newest.After(s.Newest) {
		s.Newest = b.Newest
	}
	if b.Delivered.After(s.Delivered) {
		s.Delivered = b.Delivered
	}
	requests := append([]RequestCount(nil), s.Requests...)
next:
	for _, r := range b.Requests {
		for i := range requests {
			if requests[i].Operation == r.Operation && requests[i].Status == r.Status {
				requests[i].Count += r.Count
				continue next
			}
		}
		requests = append(requests, r)
	}
	s.Requests = requests
}

func (c *CollectorState) carry(b *CollectorState) {
	for _, n := range []struct{ to, from *uint64 }{
		{&c.ExportedTuples, &b.ExportedTuples},
		{&c.NotSentTuples, &b.NotSentTuples},
		{&c.Records, &b.Records},
		{&c.Resent, &b.Resent},
		{&c.OptionsRecords, &b.OptionsRecords},
		{&c.Templates, &b.Templates},
		{&c.Messages, &b.Messages},
		{&c.Bytes, &b.Bytes},
		{&c.Clamped, &b.Clamped},
		{&c.Connections, &b.Connections},
		{&c.Reconnects, &b.Reconnects},
		{&c.Failures, &b.Failures},
	} {
		*n.to += *n.from
	}
	c.SkippedTuples = sum(c.SkippedTuples, b.SkippedTuples)
	c.PacingWait += b.PacingWait
}

// sum adds counts up in a map of its own.
func sum(a, b map[string]uint64) map[string]uint64 {
	if a == nil && b == nil {
		return nil
	}
	m := make(map[string]uint64, max(len(a), len(b)))
	for key, n := range a {
		m[key] += n
	}
	for key, n := range b {
		m[key] += n
	}
	return m
}
