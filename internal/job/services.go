package job

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

// services reads CI_JOB_SERVICES, in which gitlab-runner has put the values of
// variables into those of the services (since 19.0; older ones leave
// variables out), but not into their names.
func services(variable func(string) string) ([]Service, error) {
	text := variable("CI_JOB_SERVICES")
	if text == "" {
		return nil, nil
	}
	var all []struct {
		Name       string            `json:"name"`
		Alias      string            `json:"alias"`
		Entrypoint []string          `json:"entrypoint"`
		Command    []string          `json:"command"`
		Variables  map[string]string `json:"variables"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("reading the job's services from CI_JOB_SERVICES: %w", err)
	}
	var found []Service
	for _, s := range all {
		found = append(found, Service{
			Name: os.Expand(s.Name, variable), Aliases: words(s.Alias),
			Entrypoint: s.Entrypoint, Command: s.Command, Variables: s.Variables,
		})
	}
	return found, nil
}

// words are the names of an alias, which may be several.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// mask notes that a variable of the service has this secret in it.
func (s *Service) mask(secret string) {
	for name, value := range s.Variables {
		if strings.Contains(value, secret) && (s.Masked == "" || name < s.Masked) {
			s.Masked = name
		}
	}
}
