{{- define "mailpod.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "mailpod.operator" -}}
{{- if contains "mailpod" .Release.Name -}}{{ include "mailpod.name" . }}-operator{{- else -}}{{ include "mailpod.name" . }}-mailpod-operator{{- end -}}
{{- end -}}

{{- define "mailpod.s3" -}}
{{ include "mailpod.name" . }}-s3
{{- end -}}

{{- define "mailpod.test" -}}
{{ include "mailpod.name" . }}-test
{{- end -}}

{{- define "mailpod.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (include "mailpod.operator" .) -}}
{{- end -}}

{{- define "mailpod.podImage" -}}
{{- .Values.images.pod | default (printf "mailpod:%s" .Chart.AppVersion) -}}
{{- end -}}

{{- define "mailpod.operatorImage" -}}
{{- .Values.images.operator | default (printf "mail-operator:%s" .Chart.AppVersion) -}}
{{- end -}}

{{- define "mailpod.s3Host" -}}
{{ include "mailpod.s3" . }}.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* What never changes of a component: (dict "root" $ "component" "operator") */}}
{{- define "mailpod.selector" -}}
app.kubernetes.io/name: mailpod
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "mailpod.labels" -}}
{{ include "mailpod.selector" . }}
app.kubernetes.io/part-of: mailpod
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* Pod Security level restricted; the user of docker/*.Dockerfile */}}
{{- define "mailpod.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "mailpod.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What the operator is told: OperatorSettings of operator/mailoperator/settings.py */}}
{{- define "mailpod.settings" -}}
{{- $hosts := .Values.allowHttpHosts -}}
{{- $storage := .Values.defaultStorage -}}
{{- if .Values.trialS3.enabled -}}
{{- $hosts = append $hosts (include "mailpod.s3Host" .) -}}
{{- if not $storage -}}
{{- $storage = dict "bucket" .Values.trialS3.bucket "endpoint" (printf "http://%s:8333" (include "mailpod.s3Host" .)) "region" "us-east-1" "credentialsSecretRef" (dict "name" (include "mailpod.s3" .)) -}}
{{- end -}}
{{- end -}}
namespace: {{ .Release.Namespace | quote }}
podImage: {{ include "mailpod.podImage" . | quote }}
watchNamespaces: {{ toJson .Values.watchNamespaces }}
clusterName: {{ .Values.clusterName | quote }}
clusterUid: {{ .Values.clusterUID | quote }}
{{- if $storage }}
defaultStorage: {{ toJson $storage }}
{{- end }}
allowHttpHosts: {{ toJson $hosts }}
signingKeySecret: {{ include "mailpod.operator" . }}-signing-key
leaseName: {{ include "mailpod.operator" . }}
graceSeconds: {{ .Values.graceSeconds }}
sweepSeconds: {{ .Values.operator.sweepSeconds }}
workers: {{ .Values.operator.workers }}
dkim:
  # helm takes a null for a value that is not there
  rotateDays: {{ get .Values.dkim "rotateDays" | default "null" }}
  leadDays: {{ .Values.dkim.leadDays }}
  keepDays: {{ .Values.dkim.keepDays }}
dnsChecks: {{ .Values.operator.dns.checks }}
{{- with .Values.operator.dns.resolver }}
resolver: {{ . | quote }}
{{- end }}
trial: {{ and .Values.trialS3.enabled (not .Values.defaultStorage) }}
{{- end -}}
