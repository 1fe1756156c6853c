{{- /* The text of a file, with the names that appear anywhere in it: the namespace, and the longest TTL. */}}
{{- define "clonewarden.text" -}}
{{- $ours := .root.Release.Namespace -}}
{{- $text := required (printf "files/%s is not in the chart" .file) (.root.Files.Get (printf "files/%s" .file)) -}}
{{- $text = regexReplaceAll "(?m)(namespace: )clonewarden$" $text (printf "${1}%s" $ours) -}}
{{- $text = replace "system:serviceaccount:clonewarden:" (printf "system:serviceaccount:%s:" $ours) $text -}}
{{- if eq .file "base/admission-policy.yaml" -}}
{{- $text = replace "86400" (.root.Values.longestTtlSeconds | int | toString) $text -}}
{{- end -}}
{{- $text -}}
{{- end }}

{{- /* Changes an object to what the values say. */}}
{{- define "clonewarden.adapt" }}
{{- $object := .object }}
{{- $values := .root.Values }}
{{- $kind := $object.kind }}
{{- if eq $kind "Namespace" }}
{{- $_ := set $object.metadata "name" .root.Release.Namespace }}
{{- $_ := set $object.metadata.annotations "helm.sh/resource-policy" "keep" }}
{{- else if eq $kind "CustomResourceDefinition" }}
{{- $_ := set $object.metadata.annotations "helm.sh/resource-policy" "keep" }}
{{- else if and (eq $kind "ServiceAccount") $values.serviceAccount.annotations }}
{{- $_ := set $object.metadata "annotations" $values.serviceAccount.annotations }}
{{- else if has $kind (list "MutatingWebhookConfiguration" "ValidatingWebhookConfiguration") }}
{{- range $object.webhooks }}
{{- /* What the base ignores is ignored in either mode. */}}
{{- if eq .failurePolicy "Fail" }}
{{- $_ := set . "failurePolicy" (ternary "Fail" "Ignore" (eq $values.mode "enforce")) }}
{{- end }}
{{- $_ := set (first .namespaceSelector.matchExpressions) "values" $values.namespaces }}
{{- end }}
{{- else if and (eq $kind "ValidatingAdmissionPolicyBinding") (eq $object.metadata.name "clonewarden") }}
{{- $_ := set $object.spec "validationActions" (list (ternary "Deny" "Warn" (eq $values.mode "enforce"))) }}
{{- $_ := set (first $object.spec.matchResources.namespaceSelector.matchExpressions) "values" $values.namespaces }}
{{- else if has $kind (list "ServiceMonitor" "PrometheusRule") }}
{{- $_ := set $object.metadata "labels" (merge (dict) $values.monitoring.labels $object.metadata.labels) }}
{{- else if and (eq $kind "NetworkPolicy") (eq $object.metadata.name "clonewarden-metrics") }}
{{- $from := first (first $object.spec.ingress).from }}
{{- $_ := set $from.namespaceSelector.matchLabels "kubernetes.io/metadata.name" $values.monitoring.namespace }}
{{- else if eq $kind "Deployment" }}
{{- include "clonewarden.deployment" . }}
{{- end }}
{{- end }}

{{- /* The variable of a setting. */}}
{{- define "clonewarden.variable" -}}
CLONEWARDEN_{{ . | replace "-" "_" | upper }}
{{- end }}

{{- /* The policy files in which a policy has this mode, by name. What cannot be read is for the daemon to say. */}}
{{- define "clonewarden.files" -}}
{{- $mode := .mode -}}
{{- $files := list -}}
{{- range $file, $text := .policies -}}
{{- range $document := regexSplit "(?m)^---.*$" $text -1 -}}
{{- $object := fromYaml $document -}}
{{- $spec := $object.spec -}}
{{- if and (eq (toString $object.kind) "ClonePolicy") (kindIs "map" $spec) -}}
{{- if eq (toString (default "audit" $spec.mode)) $mode -}}
{{- $files = append $files (printf "`%s`" $file) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $files | uniq | join ", " -}}
{{- end }}

{{- define "clonewarden.deployment" }}
{{- $values := .root.Values }}
{{- $pod := .object.spec.template }}
{{- $spec := $pod.spec }}
{{- $container := first $spec.containers }}
{{- $_ := set .object.spec "replicas" ($values.replicas | int) }}
{{- $tag := printf ":%s" (default .root.Chart.AppVersion $values.image.tag) }}
{{- if $values.image.digest }}
{{- $tag = printf "@%s" $values.image.digest }}
{{- end }}
{{- $_ := set $container "image" (printf "%s%s" $values.image.repository $tag) }}
{{- /* Over those of the base: whoever wants more memory still asks for some, and leaves the rest as it is. */}}
{{- $_ := set $container "resources" (mergeOverwrite $container.resources (deepCopy $values.resources)) }}
{{- $env := list }}
{{- $volumes := list }}
{{- $mounts := list }}
{{- range $host, $secret := $values.databaseHosts }}
{{- $name := printf "host-%s" $host }}
{{- $volumes = append $volumes (dict "name" $name "secret" (dict "secretName" $secret "optional" true)) }}
{{- $mounts = append $mounts (dict "name" $name "mountPath" (printf "/etc/clonewarden/hosts/%s" $host) "readOnly" true) }}
{{- end }}
{{- if $values.api.enabled }}
{{- $component := .root.Files.Get "files/components/api/kustomization.yaml" | fromYaml }}
{{- $patch := (first $component.patches).patch | replace ".clonewarden.svc" (printf ".%s.svc" .root.Release.Namespace) | fromYaml }}
{{- $more := first $patch.spec.template.spec.containers }}
{{- $env = concat $env $more.env }}
{{- $_ := set $container "ports" (concat $container.ports $more.ports) }}
{{- end }}
{{- $said := dict }}
{{- range concat $container.env $env }}
{{- $_ := set $said .name . }}
{{- end }}
{{- range $name, $value := $values.settings }}
{{- $variable := include "clonewarden.variable" $name }}
{{- /* The API needs its own name in the certificate, beside those that are asked for. */}}
{{- if and (eq $name "webhook-names") (hasKey $said $variable) }}
{{- $value = printf "%s,%s" (get $said $variable).value $value }}
{{- end }}
{{- $_ := set $said $variable (dict "name" $variable "value" $value) }}
{{- end }}
{{- /* Objects of the chart rely on these: Services, probes, rights. A flag of the base goes before its variable. */}}
{{- $ours := list }}
{{- range concat (list "listen" "api-listen" "namespace" "webhook-advertise" "webhook-configuration") $container.args }}
{{- $ours = append $ours (include "clonewarden.variable" (trimPrefix "--" .)) }}
{{- end }}
{{- range $values.extraEnv }}
{{- if has .name $ours }}
{{- fail (printf "extraEnv: %s is for the chart to say; take it out" .name) }}
{{- end }}
{{- if hasKey $said .name }}
{{- fail (printf "extraEnv: %s is said already, by the chart, by `settings`, or twice here; take it out, and say a setting of `clonewarden run` in `settings`" .name) }}
{{- end }}
{{- $_ := set $said .name . }}
{{- end }}
{{- $env = list }}
{{- range $name := keys $said | sortAlpha }}
{{- $env = append $env (get $said $name) }}
{{- end }}
{{- $_ := set $container "env" $env }}
{{- $_ := set $container "volumeMounts" (concat $container.volumeMounts $mounts $values.extraVolumeMounts) }}
{{- $_ := set $spec "volumes" (concat $spec.volumes $volumes $values.extraVolumes) }}
{{- if eq $values.spreadOverNodes "required" }}
{{- range $spec.topologySpreadConstraints }}
{{- if eq .topologyKey "kubernetes.io/hostname" }}
{{- $_ := set . "whenUnsatisfiable" "DoNotSchedule" }}
{{- end }}
{{- end }}
{{- end }}
{{- if $values.podAnnotations }}
{{- $_ := set $pod.metadata "annotations" $values.podAnnotations }}
{{- end }}
{{- range $field := list "imagePullSecrets" "nodeSelector" "tolerations" "priorityClassName" }}
{{- with get $values $field }}
{{- $_ := set $spec $field . }}
{{- end }}
{{- end }}
{{- end }}
