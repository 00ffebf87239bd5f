FROM public.ecr.aws/docker/library/alpine:3
# The stand-in's docker fails at this line, as any docker would.
RUN false
