// Package ttlmap stands in for the module of that name, as far as plakar calls it.
package ttlmap

import (
	"sync"
	"time"
)

// Map holds entries that are gone some time after they were added.
type Map[K comparable, V any] struct {
	mu      sync.Mutex
	ttl     time.Duration
	entries map[K]entry[V]
}

type entry[V any] struct {
	value V
	added time.Time
}

func New[K comparable, V any](ttl time.Duration) *Map[K, V] {
	return &Map[K, V]{ttl: ttl, entries: map[K]entry[V]{}}
}

func (m *Map[K, V]) Add(key K, value V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries[key] = entry[V]{value, time.Now()}
}

func (m *Map[K, V]) Get(key K) (value V, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	found, ok := m.entries[key]
	if !ok || time.Since(found.added) > m.ttl {
		return value, false
	}
	return found.value, true
}

// AutoExpire frees memory in a server that runs for long; nothing here does.
func (m *Map[K, V]) AutoExpire() {}
