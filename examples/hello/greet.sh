#!/bin/sh
# Greets every ten seconds, after a look at the page: something to follow in the logs.
trap 'exit 0' TERM INT
count=0
while true; do
    count=$((count + 1))
    if wget -q -O /dev/null "$1"; then
        echo "hello, $NAME ($count): $1 answers"
    else
        echo "hello, $NAME ($count): $1 does not answer" >&2
    fi
    sleep 10 &
    wait $!
done
