package localaws

import (
	"context"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tagResourceInput struct {
	ResourceArn string   `json:"resourceArn"`
	Tags        []ecsTag `json:"tags"`
}

type nothing struct{}

func (e *ecsService) tagResource(_ context.Context, in *tagResourceInput) (*nothing, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	tags, err := e.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	merged := mergeTags(*tags, in.Tags)
	if err := checkTags(merged); err != nil {
		return nil, err
	}
	*tags = merged
	return &nothing{}, nil
}

type listTagsForResourceInput struct {
	ResourceArn string `json:"resourceArn"`
}

type listTagsForResourceOutput struct {
	Tags []ecsTag `json:"tags"`
}

func (e *ecsService) listTagsForResource(_ context.Context, in *listTagsForResourceInput) (*listTagsForResourceOutput, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	tags, err := e.tagsOf(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &listTagsForResourceOutput{append([]ecsTag{}, *tags...)}, nil
}

// tagsOf finds the tags of a resource by its ARN. The caller holds mu.
func (e *ecsService) tagsOf(arn string) (*[]ecsTag, error) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[2] != "ecs" {
		return nil, refuse("InvalidParameterException", "Invalid identifier: Identifier is for ecs, but was %s", arn)
	}
	kind, _, _ := strings.Cut(parts[5], "/")
	switch kind {
	case "cluster":
		if c, err := e.findCluster(arn); err == nil {
			return &c.Tags, nil
		}
		return nil, refuse("ClusterNotFoundException", "Cluster not found.")
	case "task-definition":
		if d := e.findDefinition(arn); d != nil {
			return &d.tags, nil
		}
	case "task":
		if t := e.tasks[lastPart(arn)]; t != nil && t.phase != stopped {
			return &t.tags, nil
		}
	}
	return nil, refuse("InvalidParameterException", "The specified %s was not found. Specify a valid %s and try again.", kind, kind)
}

// mergeTags adds tags to others; the later value of a key wins.
func mergeTags(old, added []ecsTag) []ecsTag {
	merged := append([]ecsTag{}, old...)
next:
	for _, tag := range added {
		for i := range merged {
			if merged[i].Key == tag.Key {
				merged[i].Value = tag.Value
				continue next
			}
		}
		merged = append(merged, tag)
	}
	return merged
}

// checkTags applies the limits that all resources' tags have.
func checkTags(tags []ecsTag) error {
	if len(tags) > 50 {
		return refuse("InvalidParameterException", "Number of tags should not exceed 50.")
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		switch {
		case tag.Key == "" || utf8.RuneCountInString(tag.Key) > 128:
			return refuse("InvalidParameterException", "Tag key can have between 1 and 128 characters.")
		case utf8.RuneCountInString(tag.Value) > 256:
			return refuse("InvalidParameterException", "Tag value can have at most 256 characters.")
		case strings.HasPrefix(strings.ToLower(tag.Key), "aws:"):
			return refuse("InvalidParameterException", "Some of the tag keys contain the reserved prefix aws:")
		case seen[tag.Key]:
			return refuse("InvalidParameterException", "Tags can not contain duplicate keys: %s", tag.Key)
		case strings.ContainsFunc(tag.Key+tag.Value, func(r rune) bool { return !tagCharacter(r) }):
			return refuse("InvalidParameterException", "Some tags contain invalid characters. Valid characters: UTF-8 letters, spaces, numbers and _ . / = + - : @.")
		}
		seen[tag.Key] = true
	}
	return nil
}

func tagCharacter(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsSpace(r) || strings.ContainsRune("_./=+-:@", r)
}
