// go-redis with its defaults: go_redis PORT. See ../../clients_test.py.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"os"
	"time"

	"github.com/redis/go-redis/v9"
)

var ctx = context.Background()

func step(name string) { fmt.Println("ok", name) }

func expect(holds bool, what ...any) {
	if !holds {
		log.Fatalln(append([]any{"failed:"}, what...)...)
	}
}

func equal[T comparable](got T, err error, want T) {
	expect(err == nil && got == want, "got", got, err, "want", want)
}

func refused(err error, text string) { expect(err != nil && err.Error() == text, "got", err, "want", text) }

func counters(r *redis.Client) {
	v, err := r.Incr(ctx, "a").Result()
	equal(v, err, 1)
	v, err = r.IncrBy(ctx, "a", 41).Result()
	equal(v, err, 42)
	v, err = r.Decr(ctx, "a").Result()
	equal(v, err, 41)
	v, err = r.DecrBy(ctx, "a", 48).Result()
	equal(v, err, -7)
	text, err := r.Get(ctx, "a").Result()
	equal(text, err, "-7")
	_, err = r.Get(ctx, "none").Result()
	expect(errors.Is(err, redis.Nil), "GET of a missing key", err)
	step("counters")

	replies, err := r.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 1000 {
			p.Incr(ctx, "p")
		}
		return nil
	})
	expect(err == nil && len(replies) == 1000, "pipeline", err)
	for i, reply := range replies {
		equal(reply.(*redis.IntCmd).Val(), nil, int64(i+1))
	}
	step("pipeline")

	replies, err = r.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "m")
		p.IncrBy(ctx, "m", 9)
		p.Get(ctx, "m")
		return nil
	})
	expect(err == nil && len(replies) == 3, "EXEC", err)
	equal(replies[1].(*redis.IntCmd).Val(), nil, 10)
	equal(replies[2].(*redis.StringCmd).Val(), nil, "10")
	step("multi")
}

func times(r *redis.Client) {
	expect(r.Set(ctx, "e", 5, 0).Err() == nil, "SET")
	set, err := r.Expire(ctx, "e", 100*time.Second).Result()
	equal(set, err, true)
	ttl, err := r.TTL(ctx, "e").Result()
	expect(err == nil && ttl >= 90*time.Second && ttl <= 100*time.Second, "TTL", ttl, err)
	set, err = r.Persist(ctx, "e").Result()
	equal(set, err, true)
	ttl, err = r.TTL(ctx, "e").Result()
	equal(ttl, err, -1)
	step("expire")
}

func groups(r *redis.Client) {
	v, err := r.HIncrBy(ctx, "h", "x", 3).Result()
	equal(v, err, 3)
	v, err = r.HIncrBy(ctx, "h", "y", 4).Result()
	equal(v, err, 4)
	all, err := r.HGetAll(ctx, "h").Result()
	expect(err == nil && maps.Equal(all, map[string]string{"x": "3", "y": "4"}), "HGETALL", all, err)
	step("hash")

	for i := range 300 {
		expect(r.Incr(ctx, fmt.Sprint("s:", i)).Err() == nil, "INCR")
	}
	found := map[string]int{}
	pages := r.Scan(ctx, 0, "s:*", 50).Iterator()
	for pages.Next(ctx) {
		found[pages.Val()]++
	}
	expect(pages.Err() == nil && len(found) == 300, "SCAN", len(found), pages.Err())
	for key, times := range found {
		expect(times == 1, key, "came", times, "times")
	}
	step("scan")
}

func main() {
	expect(len(os.Args) == 2, "usage: go_redis PORT")
	r := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1]})
	pong, err := r.Ping(ctx).Result()
	equal(pong, err, "PONG")
	step("connect")
	counters(r)
	times(r)
	groups(r)

	refused(r.Do(ctx, "INCRBY", "a", "abc").Err(), "ERR value is not an integer or out of range")
	expect(r.Set(ctx, "big", "9223372036854775807", 0).Err() == nil, "SET")
	refused(r.Incr(ctx, "big").Err(), "ERR increment or decrement would overflow")
	text, err := r.Get(ctx, "big").Result()
	equal(text, err, "9223372036854775807")
	step("errors")

	// RESP3 is the default: the map arrives as a map. RESP2 must do as well.
	raw, err := r.Do(ctx, "HGETALL", "h").Result()
	fields, isMap := raw.(map[any]any)
	expect(err == nil && isMap && fields["x"] == "3", "RESP3 map", raw, err)
	two := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + os.Args[1], Protocol: 2})
	raw, err = two.Do(ctx, "HGETALL", "h").Result()
	list, isList := raw.([]any)
	expect(err == nil && isList && len(list) == 4, "RESP2 array", raw, err)
	step("resp3")

	v, err := r.Incr(ctx, "kept").Result()
	equal(v, err, 1)
	fmt.Println("restart")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		log.Fatalln(err)
	}
	v, err = r.Incr(ctx, "kept").Result()
	equal(v, err, 2)
	step("reconnect")
}
