/**
 * Adapters in files, whatever the format: what is described, where the factors lie, and how their
 * weights are read into rows.
 */
@NullMarked
package dev.lorikeet.files.adapter;

import org.jspecify.annotations.NullMarked;
