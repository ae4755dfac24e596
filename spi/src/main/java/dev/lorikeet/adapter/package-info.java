/** LoRA adapters: their description, their weights, and the stores that keep them. */
@NullMarked
package dev.lorikeet.adapter;

import org.jspecify.annotations.NullMarked;
