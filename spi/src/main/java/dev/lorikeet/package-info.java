/**
 * The host API: what an application needs to open a base model, register adapters and generate
 * text.
 */
@NullMarked
package dev.lorikeet;

import org.jspecify.annotations.NullMarked;
