/** Lets the JVM compile the kernels before the first request needs them. */
@org.jspecify.annotations.NullMarked
package dev.lorikeet.jlama.warmup;
