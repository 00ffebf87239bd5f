package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/fargate-driver/fargate-driver/infra/cdk/template"
)

// plain writes a value as a person reads it: references by what they name.
func plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return fmt.Sprintf("%g", v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i, p := range v {
			parts[i] = plain(p)
		}
		return strings.Join(parts, ", ")
	case map[string]any:
		return reference(v)
	}
	return fmt.Sprint(v)
}

func reference(v map[string]any) string {
	if ref, ok := v["Ref"].(string); ok {
		return strings.TrimPrefix(ref, "AWS::")
	}
	if pair, ok := v["Fn::GetAtt"].([]any); ok {
		return plain(pair[0])
	}
	if join, ok := v["Fn::Join"].([]any); ok {
		var b strings.Builder
		for _, p := range template.Many(template.At(join, 1)) {
			b.WriteString(plain(p))
		}
		return b.String()
	}
	if sub, ok := v["Fn::Sub"].(string); ok {
		return sub
	}
	if export, ok := v["Fn::ImportValue"].(string); ok {
		_, name, _ := strings.Cut(export, ":")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "ExportsOutputRef"), "ExportsOutputFnGetAtt")
		return name[:max(0, len(name)-8)] // a checksum
	}
	data, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(data)
}
