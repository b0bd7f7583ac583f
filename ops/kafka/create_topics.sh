#!/bin/sh
# Makes the topics of topics.txt where they are not, and sets how long they keep what they have. As often as you like.
# KAFKA_BOOTSTRAP_SERVERS says where Kafka is; the programs are those of Kafka's own image.
set -eu

server=${KAFKA_BOOTSTRAP_SERVERS:-kafka:9092}
PATH=$PATH:/opt/kafka/bin
hour_ms=3600000

while read -r topic partitions hours; do
    case $topic in '' | '#') continue ;; esac
    # One copy: there is one broker here. With three, make it 3, and min.insync.replicas 2.
    kafka-topics.sh --bootstrap-server "$server" --create --if-not-exists --topic "$topic" \
        --partitions "$partitions" --replication-factor "${REPLICATION_FACTOR:-1}" </dev/null
    kafka-configs.sh --bootstrap-server "$server" --alter --entity-type topics --entity-name "$topic" \
        --add-config "retention.ms=$((hours * hour_ms)),cleanup.policy=delete,compression.type=producer" </dev/null
done <"$(dirname "$0")/topics.txt"
