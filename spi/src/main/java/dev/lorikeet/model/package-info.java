/**
 * Base models: the host of a frozen language model that serves requests for many adapters in one
 * batch.
 */
@NullMarked
package dev.lorikeet.model;

import org.jspecify.annotations.NullMarked;
