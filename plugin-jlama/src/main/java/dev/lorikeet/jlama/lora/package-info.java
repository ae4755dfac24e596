/**
 * LoRA executors that compute on the CPU: a plain one ({@code cpu-scalar}) and its fast twin on the
 * Vector API ({@code cpu-vector}).
 */
@NullMarked
package dev.lorikeet.jlama.lora;

import org.jspecify.annotations.NullMarked;
