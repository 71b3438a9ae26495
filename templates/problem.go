package templates

// Problem is one thing that is wrong with a Config.
type Problem struct {
	Key  string // as the configuration has it inside a collector: fields, enterprise.number
	Name string // which word of Key's list it is about; empty if it is about all of it
	Text string // what to write instead
}

func (p *Problem) Error() string { return p.Key + ": " + p.Text }

// Problems returns all that an error of New is made of.
func Problems(err error) []*Problem {
	switch e := err.(type) { //nolint:errorlint // it takes errors apart
	case nil:
		return nil
	case *Problem:
		return []*Problem{e}
	case interface{ Unwrap() []error }:
		var all []*Problem
		for _, one := range e.Unwrap() {
			all = append(all, Problems(one)...)
		}
		return all
	}
	return []*Problem{{Text: err.Error()}} // none of the configuration's making
}
